package caddymodule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func webhookCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Webhooks: addresses that are told of events",
		Long: `Webhooks are addresses that are told of events, by signed requests (Standard Webhooks).
Those of the platform are told of all events, those of an organization (--org) of its own.`,
	}
	cmd.PersistentFlags().String("org", "", "the organization; without, the platform")
	return parent(cmd, webhookAdd(), webhookList(), webhookSet(), webhookRotate(), webhookTest(), webhookDelete(), webhookDeliveries(), webhookResend())
}

// orgOf is what --org says.
func orgOf(cmd *cobra.Command) string {
	org, _ := cmd.Flags().GetString("org")
	return org
}

// onWebhook makes a command about one thing with an id.
func onWebhook[T any](use, short, operation string, said func(T) string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		return once(cmd, false, operation, webhookArgs{Org: orgOf(cmd), ID: args[0]}, said)
	}}
}

func webhookAdd() *cobra.Command {
	var a webhookArgs
	cmd := &cobra.Command{
		Use:     "add URL",
		Short:   "Makes a webhook, and shows the secret that its requests are signed with",
		Example: "  caddy gate webhook add https://hooks.example.com/gate --events 'member.*' --org acme",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Org, a.URL = orgOf(cmd), args[0]
			return once(cmd, false, "webhook.add", a, func(l webhookLine) string {
				return fmt.Sprintf("Webhook %s is made. Its secret, which is not shown again:\n%s", l.ID, l.Secret)
			})
		},
	}
	cmd.Flags().StringVar(&a.Name, "name", "", "what it is called (default: the host)")
	cmd.Flags().StringSliceVar(&a.Events, "events", []string{"*"}, "what it is told of: user.login, member.*, or * for all")
	return cmd
}

func webhookList() *cobra.Command {
	a := webhookArgs{Limit: pageSize}
	next := func(c *connection) (page []webhookLine, err error) {
		if err = c.do("webhook.list", a, &page); len(page) > 0 {
			a.After = string(page[len(page)-1].ID)
		}
		return page, err
	}
	cmd := listing("Lists webhooks", "ID\tNAME\tURL\tEVENTS\tSTATUS\tFAILING SINCE\tREASON", next, func(l webhookLine) []string {
		failing := ""
		if l.Failing != nil {
			failing = l.Failing.Local().Format(time.DateTime)
		}
		return []string{string(l.ID), l.Name, l.URL, strings.Join(l.Events, " "), string(l.Status), failing, l.Reason}
	})
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a.Org = orgOf(cmd)
		return run(cmd, args)
	}
	return cmd
}

func webhookSet() *cobra.Command {
	var a webhookArgs
	var on, off bool
	cmd := &cobra.Command{Use: "set ID", Short: "Changes a webhook, or switches it on or off", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		a.Org, a.ID = orgOf(cmd), args[0]
		if on || off {
			a.On = &on
		}
		return once(cmd, false, "webhook.set", a, func(l webhookLine) string { return fmt.Sprintf("Webhook %s is %s.", l.ID, l.Status) })
	}}
	cmd.Flags().StringVar(&a.Name, "name", "", "what it is called")
	cmd.Flags().StringVar(&a.URL, "url", "", "where it is")
	cmd.Flags().StringSliceVar(&a.Events, "events", nil, "what it is told of")
	cmd.Flags().BoolVar(&on, "on", false, "it is told of what happens from now on")
	cmd.Flags().BoolVar(&off, "off", false, "it is told of nothing any more")
	cmd.MarkFlagsMutuallyExclusive("on", "off")
	return cmd
}

func webhookRotate() *cobra.Command {
	return onWebhook("rotate ID", "Gives a webhook a new secret; the one before counts for a day", "webhook.rotate", func(l webhookLine) string {
		return fmt.Sprintf("Webhook %s has a new secret, which is not shown again:\n%s", l.ID, l.Secret)
	})
}

func webhookTest() *cobra.Command {
	return onWebhook("test ID", "Sends a webhook an event of the type webhook.test", "webhook.test", func(l deliveryLine) string {
		return fmt.Sprintf("Delivery %s is on its way.", l.ID)
	})
}

func webhookDelete() *cobra.Command {
	return onWebhook("delete ID", "Deletes a webhook, with all that was to be delivered", "webhook.delete", func(l webhookLine) string {
		return fmt.Sprintf("Webhook %s is deleted.", l.ID)
	})
}

func webhookResend() *cobra.Command {
	return onWebhook("resend DELIVERY", "Sends a delivery again, with the same id", "webhook.resend", func(l deliveryLine) string {
		return fmt.Sprintf("Delivery %s is on its way again.", l.ID)
	})
}

func webhookDeliveries() *cobra.Command {
	a := webhookArgs{Limit: pageSize}
	var asJSON bool
	cmd := &cobra.Command{Use: "deliveries ID", Short: "Lists what a webhook was told, newest first; --json shows requests and answers", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Org, a.ID = orgOf(cmd), args[0]
			return printPages(cmd, asJSON, "ID\tTYPE\tSTATUS\tTRIES\tLAST TRY\tTOOK\tANSWER", func(c *connection) (page []deliveryLine, err error) {
				if err = c.do("webhook.deliveries", a, &page); len(page) > 0 {
					a.After = string(page[len(page)-1].ID)
				}
				return page, err
			}, func(l deliveryLine) []string {
				tried, answer := "", l.Failure
				if l.Tried != nil {
					tried = l.Tried.Local().Format(time.DateTime)
				}
				if answer == "" && l.Code > 0 {
					answer = strconv.Itoa(l.Code)
				}
				return []string{string(l.ID), l.Type, string(l.Status), strconv.Itoa(l.Tries), tried, fmt.Sprint(l.Millis, " ms"), answer}
			})
		}}
	jsonFlag(cmd, &asJSON)
	return cmd
}
