package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/standin"
)

func ExampleClient_DigestGroups() {
	// A site with three groups, in place of https://groups.example.com/.
	site := standin.New(standin.Options{Groups: []standin.Group{
		{Site: "main", Group: "gardening"}, {Site: "branch", Group: "news"}, {Site: "main", Group: "choir"},
	}})
	defer site.Close()
	server, err := site.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	url, err := hooks.ParseURL(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	client := hooks.New(url, hooks.NewToken(standin.DefaultToken), hooks.Options{})

	list, err := client.DigestGroups(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, group := range list.Entries {
		fmt.Println(group.Key())
	}
	// Output:
	// branch/news
	// main/choir
	// main/gardening
}

func ExampleClient_SendDigest() {
	site := standin.New(standin.Options{
		Groups: []standin.Group{{Site: "main", Group: "choir"}, {Site: "main", Group: "gardening"}},
		Faults: []standin.Fault{{Pattern: "main/gardening", Kind: standin.Error500}},
	})
	defer site.Close()
	server, err := site.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	url, err := hooks.ParseURL(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	client := hooks.New(url, hooks.NewToken(standin.DefaultToken), hooks.Options{})

	for _, name := range []string{"choir", "gardening", "long gone"} {
		reply, err := client.SendDigest(context.Background(), hooks.Group{Site: "main", Group: name})
		if e, ok := errors.AsType[*hooks.TransportError](err); ok {
			fmt.Printf("%s: %v; may have been sent: %v\n", name, err, e.Wrote)
			continue
		}
		switch {
		case err != nil:
			fmt.Printf("%s: %v\n", name, err)
		case reply.Confirmed:
			fmt.Printf("%s: accepted\n", name)
		default:
			fmt.Printf("%s: the site knows no such group\n", name)
		}
	}
	// Output:
	// choir: accepted
	// gardening: send digest: 500 Internal Server Error: RuntimeError: database error
	// long gone: the site knows no such group
}

func ExampleClient_SendProfile() {
	site := standin.New(standin.Options{
		People: []string{"ann", "bob", "cy"},
		Status: func(id string) int { return map[string]int{"bob": -32}[id] },
		Faults: []standin.Fault{{Pattern: "people/cy", Kind: standin.Reset}},
	})
	defer site.Close()
	server, err := site.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	url, err := hooks.ParseURL(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	client := hooks.New(url, hooks.NewToken(standin.DefaultToken), hooks.Options{})

	list, err := client.ProfileMembers(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, person := range append(list.Entries, "long gone") {
		switch answer, err := client.SendProfile(context.Background(), person); {
		case err != nil:
			fmt.Printf("%s: %v\n", person, err)
		case answer == hooks.ProfileSent:
			fmt.Printf("%s: sent\n", person)
		default:
			fmt.Printf("%s: %s\n", person, answer.Reason())
		}
	}
	fmt.Println(site.Mails()[standin.Person("cy")], "mail for cy: never send that again")
	// Output:
	// ann: sent
	// bob: opted out
	// cy: send profile status: connection reset by peer after the request was sent
	// long gone: the site knows no such person
	// 1 mail for cy: never send that again
}
