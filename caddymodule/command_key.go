package caddymodule

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func keyCommand() *cobra.Command {
	return parent(&cobra.Command{Use: "key", Short: "Lists and rotates the keys that assertions and tokens are signed with"}, keyList(), keyRotate())
}

func keyList() *cobra.Command {
	done := false
	next := func(c *connection) (page []keyLine, err error) {
		if !done { // there is one page
			done, err = true, c.do("key.list", struct{}{}, &page)
		}
		return page, err
	}
	return listing("Lists the signing keys, the oldest first", "ID\tALGORITHM\tSTATE\tMADE\tSIGNS FROM", next, func(k keyLine) []string {
		return []string{k.ID, string(k.Algorithm), string(k.State), k.Created.Local().Format(time.DateTime), k.Signs.Local().Format(time.DateTime)}
	})
}

func keyRotate() *cobra.Command {
	var a keyArgs
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Makes a new signing key",
		Long: `Makes a new signing key. It signs in eleven minutes, when apps that keep public keys
for ten have learnt of it, and what the others have signed stays good.

Keys rotate by themselves every 30 days; nobody needs this for that. Where somebody
else may have a key, add --now: the new key signs at once, and all others are
dropped, on every node within ten seconds.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return once(cmd, false, "key.rotate", a, func(k keyLine) string {
				if k.State == authcore.KeySigns {
					return fmt.Sprintf("Key %s signs from now on.", k.ID)
				}
				return fmt.Sprintf("Key %s signs from %s on.", k.ID, k.Signs.Local().Format(time.DateTime))
			})
		},
	}
	cmd.Flags().BoolVar(&a.Now, "now", false, "drop all others: somebody may have them")
	return cmd
}
