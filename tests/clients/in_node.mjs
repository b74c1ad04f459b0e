// The clients that are run by Node. in_python.py describes the commands and what is written.
// The packages are in the folder node_modules beside this file's copy.

import { createInterface } from "node:readline"
import { EventSource } from "eventsource"

const say = (of, what) => process.stdout.write(JSON.stringify({ of, ...what }) + "\n")

function eventsource({ of, url, last_event_id, gzip }) {
  const headers = { "Accept-Encoding": gzip ? "gzip" : "identity" }
  if (last_event_id !== null) headers["Last-Event-ID"] = last_event_id
  const source = new EventSource(url, {
    fetch: (input, init) => fetch(input, { ...init, headers: { ...headers, ...init.headers } }),
  })
  source.onmessage = (e) => say(of, { event: e.type, data: e.data, id: e.lastEventId })
  source.onerror = (e) => {
    if (source.readyState === EventSource.CLOSED) say(of, { stopped: "closed" })
    else say(of, { says: "error" })
  }
}

async function withFetch({ of, url, last_event_id, gzip }) {
  const headers = { Accept: "text/event-stream", "Accept-Encoding": gzip ? "gzip" : "identity" }
  if (last_event_id !== null) headers["Last-Event-ID"] = last_event_id
  try {
    const response = await fetch(url, { headers })
    const decoder = new TextDecoder()
    let rest = ""
    let id = ""
    for await (const bytes of response.body) {
      const blocks = (rest + decoder.decode(bytes, { stream: true })).split("\n\n")
      rest = blocks.pop()
      for (const block of blocks) {
        const data = []
        let event = "message"
        for (const line of block.split("\n")) {
          const [, field, value] = line.match(/^([^:]*):? ?(.*)$/)
          if (field === "data") data.push(value)
          if (field === "event") event = value
          if (field === "id") id = value
        }
        if (data.length) say(of, { event, data: data.join("\n"), id })
      }
    }
    say(of, { stopped: "end" })
  } catch (error) {
    say(of, { stopped: `${error.name}: ${error.message}` })
  }
}

const clients = { eventsource, fetch: withFetch }

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line)
  clients[command.client](command)
})
