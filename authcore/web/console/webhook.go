package console

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// around is the page of an organization, or of the installation.
func (v *Visit) around(title string) Page {
	if v.slug == "" {
		return v.onPlatform(title)
	}
	return v.inOrganization(title)
}

// webhooksAt is the address of the list that a webhook is in.
func (v *Visit) webhooksAt() string {
	if v.slug == "" {
		return Base + "admin/webhooks"
	}
	return Base + "org/" + v.slug + "/webhooks"
}

var webhookTags = map[authcore.WebhookStatus]string{authcore.WebhookActive: "good", authcore.WebhookOff: "plain", authcore.WebhookFailed: "bad"}

func webhookStatus(w authcore.Webhook) Cell {
	if w.Status == authcore.WebhookActive && !w.FailingSince.IsZero() {
		return Cell{Text: "failing", Tag: "wait"}
	}
	return Cell{Text: string(w.Status), Tag: webhookTags[w.Status]}
}

func showWebhooks(ctx context.Context, v *Visit) (Page, error) {
	p := v.around("Webhooks")
	p.Lead = "Addresses that are told what happens, signed, and tried again for two days."
	order, sort := v.sorted(sortBy, authcore.WebhookOrders, headings{"Since": byTime})
	all, err := v.Accounts.Webhooks(ctx, v.Actor, v.slug, authcore.ListQuery{Order: order, After: v.after(), Limit: PerPage + 1})
	if err != nil {
		return p, err
	}
	t := paged(v, &Table{Columns: []string{"Webhook", "Address", "Events", "Status", "Since"}, Sort: sort, Empty: "None yet. The first one is made below."}, all,
		func(w authcore.Webhook) string { return string(w.ID) },
		func(w authcore.Webhook) Row {
			return Row{Cells: []Cell{{Text: w.Name, URL: v.webhooksAt() + "/" + string(w.ID)}, {Text: w.URL, Code: true}, {Text: strings.Join(w.Events, " "), Code: true}, webhookStatus(w), {Time: w.CreatedAt}}}
		})
	p.Parts = append(p.Parts, Part{ID: "webhooks", Title: "Webhooks", Table: t, Secret: v.secret}, Part{ID: "new", Title: "A new one", About: "It has to answer 2xx within 15 seconds.", Forms: []Form{{Do: "create", Button: "Make the webhook", Fields: webhookFields(authcore.Webhook{})}}})
	return p, nil
}

// webhookFields are those of a webhook; events are chosen by their noun.
func webhookFields(w authcore.Webhook) []Field {
	f := Field{Name: "events", Label: "What it is told of", Kind: Checks, Options: []Option{{"*", "everything", slices.Contains(w.Events, "*")}}}
	var nouns []string
	for _, a := range authcore.Actions {
		if noun, _, _ := strings.Cut(string(a), "."); !slices.Contains(nouns, noun) {
			nouns = append(nouns, noun)
		}
	}
	for _, noun := range nouns {
		f.Options = append(f.Options, Option{noun + ".*", noun + ".*", slices.Contains(w.Events, noun+".*")})
	}
	var others []string
	for _, e := range w.Events {
		if e != "*" && !strings.HasSuffix(e, ".*") {
			others = append(others, e)
		}
	}
	return []Field{{Name: "url", Label: "Address", Kind: URL, Value: w.URL, Hint: "It begins with https://"}, {Name: "name", Label: "Name", Optional: true, Value: w.Name, Hint: "Empty: the host of the address."}, f,
		{Name: "single", Label: "Single events", Optional: true, Value: strings.Join(others, " "), Hint: "By name, with spaces between them: member.set user.disable"}}
}

// events are those that a form chose.
func (v *Visit) events() []string {
	return append(slices.Clone(v.Form["events"]), strings.Fields(v.text("single"))...)
}

func webhookSecret(s authcore.Secret) *Secret {
	return &Secret{"Secret of the webhook", s.Reveal(), "It is shown this once. Receivers check the signature with it, by Standard Webhooks."}
}

func createWebhook(ctx context.Context, v *Visit) (string, error) {
	_, secret, err := v.Accounts.CreateWebhook(ctx, v.Actor, v.slug, authcore.NewWebhook{Name: v.text("name"), URL: v.text("url"), Events: v.events()})
	if err == nil {
		v.secret = webhookSecret(secret)
	}
	return "", err
}

func showWebhook(ctx context.Context, v *Visit) (Page, error) {
	p := v.around("Webhook")
	w, err := v.Accounts.Webhook(ctx, v.Actor, v.slug, authcore.WebhookID(v.id))
	if err != nil {
		return p, err
	}
	p.Title, p.Above = w.Name, &Link{Text: "Webhooks", URL: v.webhooksAt()}
	tag := webhookStatus(w)
	p.Tag = &tag
	facts := []Fact{{"Address", Cell{Text: w.URL, Code: true}}, {"Since", Cell{Time: w.CreatedAt}}}
	if !w.FailingSince.IsZero() {
		facts = append(facts, Fact{"Failing since", Cell{Time: w.FailingSince}})
	}
	if w.Reason != "" && w.Status == authcore.WebhookFailed {
		facts = append(facts, Fact{"Switched off because", Cell{Text: w.Reason}})
	}
	onOff := Form{Do: "change", Button: "Switch it off", Hidden: []Field{{Name: "on", Value: "no"}}}
	if w.Status != authcore.WebhookActive {
		onOff = Form{Do: "change", Button: "Switch it on", Hidden: []Field{{Name: "on", Value: "yes"}}}
	}
	p.Parts = append(p.Parts, Part{ID: "webhook", Title: "At a glance", Facts: facts, Secret: v.secret, Forms: []Form{{Do: "test", Button: "Send a test"}, onOff}})
	if err := addDeliveries(ctx, v, &p, w); err != nil {
		return p, err
	}
	p.Parts = append(p.Parts, Part{ID: "settings", Title: "Settings", Forms: []Form{{Do: "change", Button: "Save", Fields: webhookFields(w), Hidden: []Field{{Name: "on", Value: ""}}}}},
		Part{ID: "secret", Title: "Another secret", About: "For a day, deliveries are signed with both.", Forms: []Form{{Do: "rotate", Button: "Make another secret", Folded: "Make another…"}}},
		Part{ID: "delete", Title: "Delete", About: "What waits for it is given up.", Forms: []Form{{Do: "delete", Button: "Delete the webhook", Folded: "Delete…", Danger: true}}})
	return p, nil
}

var deliveryTags = map[authcore.DeliveryStatus]string{authcore.DeliveryWaiting: "wait", authcore.DeliveryDone: "good", authcore.DeliveryLost: "bad"}

func addDeliveries(ctx context.Context, v *Visit, p *Page, w authcore.Webhook) error {
	order, sort := v.sorted(sortBy, authcore.DeliveryOrders, headings{"Time": byTime})
	all, err := v.Accounts.Deliveries(ctx, v.Actor, v.slug, w.ID, authcore.ListQuery{Order: order, After: v.after(), Limit: PerPage + 1})
	if err != nil {
		return err
	}
	t := paged(v, &Table{Columns: []string{"Time", "Event", "Status", "Answer", "Took"}, Sort: sort, Empty: "Nothing was sent yet."}, all,
		func(d authcore.Delivery) string { return string(d.ID) },
		func(d authcore.Delivery) Row {
			row := Row{Cells: []Cell{{Time: d.CreatedAt}, {Text: d.Type, Code: true}, {Text: deliveryWords(d), Tag: deliveryTags[d.Status]}, {Text: answerWords(d)}, {Text: fmt.Sprintf("%d ms", d.Took.Milliseconds())}}}
			if d.TriedAt.IsZero() {
				row.Cells[4].Text = "–"
			}
			if body, ok, err := d.Body(); err == nil && ok {
				row.More = append(row.More, Fact{"Request", Cell{Text: string(body), Code: true}})
			}
			if d.Answer != "" {
				row.More = append(row.More, Fact{"Answer", Cell{Text: d.Answer, Code: true}})
			}
			if d.Status != authcore.DeliveryWaiting {
				row.Forms = []Form{{Do: "resend", Button: "Send again", Of: d.Type, Hidden: []Field{{Name: "delivery", Value: string(d.ID)}}}}
			}
			return row
		})
	p.Parts = append(p.Parts, Part{ID: "deliveries", Title: "Deliveries", About: "Kept for 30 days.", Table: t})
	return nil
}

func deliveryWords(d authcore.Delivery) string {
	if d.Status == authcore.DeliveryWaiting && d.Tries > 0 {
		return "tried " + strconv.Itoa(d.Tries) + "×"
	}
	return string(d.Status)
}

func answerWords(d authcore.Delivery) string {
	switch {
	case d.Failure != "":
		return d.Failure
	case d.AnswerStatus != 0:
		return strconv.Itoa(d.AnswerStatus)
	}
	return "–"
}

func changeWebhook(ctx context.Context, v *Visit) (string, error) {
	var c authcore.WebhookChange
	switch v.text("on") {
	case "yes", "no":
		on := v.text("on") == "yes"
		c.On = &on
	default:
		name, url := v.text("name"), v.text("url")
		c.Name, c.URL, c.Events = &name, &url, v.events()
	}
	_, err := v.Accounts.UpdateWebhook(ctx, v.Actor, v.slug, authcore.WebhookID(v.id), c)
	return "saved", err
}

func rotateWebhook(ctx context.Context, v *Visit) (string, error) {
	secret, err := v.Accounts.RotateWebhookSecret(ctx, v.Actor, v.slug, authcore.WebhookID(v.id))
	if err == nil {
		v.secret = webhookSecret(secret)
	}
	return "", err
}

func testWebhook(ctx context.Context, v *Visit) (string, error) {
	_, err := v.Accounts.TestWebhook(ctx, v.Actor, v.slug, authcore.WebhookID(v.id))
	return "tested", err
}

func resendDelivery(ctx context.Context, v *Visit) (string, error) {
	return "sent", v.Accounts.ResendDelivery(ctx, v.Actor, v.slug, authcore.DeliveryID(v.text("delivery")))
}

func deleteWebhook(ctx context.Context, v *Visit) (string, error) {
	return v.webhooksAt() + "?done=deleted", v.Accounts.DeleteWebhook(ctx, v.Actor, v.slug, authcore.WebhookID(v.id))
}
