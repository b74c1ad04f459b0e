// The client in Go: net/http and bufio, as one writes it. in_python.py describes the commands
// and what is written.
package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
)

type command struct {
	Of          string  `json:"of"`
	URL         string  `json:"url"`
	LastEventID *string `json:"last_event_id"`
	Gzip        bool    `json:"gzip"`
}

var lock sync.Mutex

func say(of string, what map[string]string) {
	what["of"] = of
	line, _ := json.Marshal(what)
	lock.Lock()
	defer lock.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// Returns at the end of the stream: nil, or what went wrong.
func follow(this command) error {
	request, err := http.NewRequest("GET", this.URL, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	if this.LastEventID != nil {
		request.Header.Set("Last-Event-ID", *this.LastEventID)
	}
	// The transport asks for gzip by itself, and decodes it, unless one asks for something.
	if !this.Gzip {
		request.Header.Set("Accept-Encoding", "identity")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	event, id := "message", ""
	var data []string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if data != nil {
				say(this.Of, map[string]string{"event": event, "data": strings.Join(data, "\n"), "id": id})
			}
			event, data = "message", nil
		case field == "event":
			event = value
		case field == "data":
			data = append(data, value)
		case field == "id":
			id = value
		}
	}
	return lines.Err()
}

func main() {
	commands := bufio.NewScanner(os.Stdin)
	commands.Buffer(nil, 1<<20)
	for commands.Scan() {
		var this command
		if err := json.Unmarshal(commands.Bytes(), &this); err != nil {
			panic(err)
		}
		go func() {
			how := "end"
			if err := follow(this); err != nil {
				how = err.Error()
			}
			say(this.Of, map[string]string{"stopped": how})
		}()
	}
}
