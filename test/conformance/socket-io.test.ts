import { assert, describe, it } from "@effect/vitest"

import { join, openClient, type RawClient, transports, within } from "../support/RawClient.ts"
import { isReference, sharedServer } from "../support/servers.ts"

const server = sharedServer()
const impatient = sharedServer({ connectTimeout: 300 })
const waitsForAttachments = sharedServer({ attachmentTimeout: 200 })

for (const transport of transports) {
  const open = async () => openClient(transport, (await server()).url)

  /** The next packets, as many as are expected. */
  const take = async (client: RawClient, count: number) => {
    const packets: Array<string | Buffer> = []
    while (packets.length < count) packets.push(await client.next())
    return packets
  }

  describe(`Socket.IO over ${transport}`, () => {
    describe("connecting", () => {
      it("answers CONNECT with an id that is not the session's", async () => {
        const client = await open()
        await client.send("40")
        const [reply, event] = await take(client, 2)
        assert.match(String(reply), /^40\{"sid":"[\w-]{20}"\}$/)
        assert.notInclude(String(reply), client.sid)
        assert.strictEqual(event, '42["auth",{}]')
        await client.close()
      })

      it("passes the auth payload on", async () => {
        const client = await open()
        await client.send('40{"token":"123","nested":[1,null]}')
        const [, event] = await take(client, 2)
        assert.strictEqual(event, '42["auth",{"token":"123","nested":[1,null]}]')
        await client.close()
      })

      it("connects to another namespace, with and without a comma", async () => {
        for (const packet of ["40/custom,", "40/custom"]) {
          const client = await open()
          await client.send(packet)
          const [reply, event] = await take(client, 2)
          assert.match(String(reply), /^40\/custom,\{"sid":"[\w-]{20}"\}$/)
          assert.strictEqual(event, '42/custom,["auth",{}]')
          await client.close()
        }
      })

      it("refuses an unknown namespace, and stays open for another", async () => {
        const client = await open()
        await client.send("40/random,")
        assert.strictEqual(await client.next(), '44/random,{"message":"Invalid namespace"}')
        await join(client)
        await client.close()
      })

      it("takes a query as part of the name", async () => {
        const client = await open()
        await client.send("40/custom?a=1,")
        assert.strictEqual(await client.next(), '44/custom?a=1,{"message":"Invalid namespace"}')
        await client.close()
      })

      it("refuses with a message and data, and takes a second attempt on the same connection", async () => {
        const client = await open()
        await client.send('40/auth,{"token":"wrong"}')
        assert.strictEqual(
          await client.next(),
          '44/auth,{"message":"not authorized","data":{"code":401,"need":"token"}}'
        )
        await join(client, "/auth", { token: "secret" })
        await client.close()
      })

      it("serves several namespaces on one connection", async () => {
        const client = await open()
        const ids = [await join(client), await join(client, "/custom")]
        assert.notStrictEqual(ids[0], ids[1])
        await client.send('42/custom,["message",1]', '42["message",2]')
        assert.sameMembers(await take(client, 2), ['42/custom,["message-back",1]', '42["message-back",2]'])
        await client.close()
      })

      it("closes a connection that joins nothing in time", async () => {
        const client = await openClient(transport, (await impatient()).url)
        await client.closed
      })

      it("closes a connection that is refused everywhere in time", async () => {
        const client = await openClient(transport, (await impatient()).url)
        await client.send("40/random,")
        await client.closed
      })

      it("keeps a connection that has joined", async () => {
        const url = (await impatient()).url
        const client = await openClient(transport, url)
        await join(client)
        // Another one is closed meanwhile: the time is over.
        await (
          await openClient(transport, url)
        ).closed
        await client.send('420["whoami"]')
        assert.match(String(await client.next()), /^430/)
        await client.close()
      })

      it.runIf(!isReference)("keeps what comes right after CONNECT until the handlers are there", async () => {
        const client = await open()
        await client.send("40", '42["message",1]', '420["message-with-ack",2]')
        const packets = (await take(client, 4)).slice(1)
        assert.deepStrictEqual(packets, ['42["auth",{}]', '42["message-back",1]', "430[2]"])
        await client.close()
      })

      it.runIf(!isReference)("forgives events after a CONNECT that is refused", async () => {
        const client = await open()
        await client.send("40/auth,", '42/auth,["message",1]')
        assert.match(String(await client.next()), /^44\/auth,/)
        await join(client)
        await client.close()
      })
    })

    describe("disconnecting", () => {
      it("leaves one namespace and stays in the other", async () => {
        const client = await open()
        await join(client)
        await join(client, "/custom")
        await client.send("41/custom,", '42["message",1]')
        assert.strictEqual(await client.next(), '42["message-back",1]')
        await client.close()
      })

      // The reference handles DISCONNECT a turn later than CONNECT: both in one read are a second CONNECT to it.
      it.runIf(!isReference)("lets the client come back to a namespace that it has left", async () => {
        const client = await open()
        const first = await join(client, "/custom")
        await client.send("41/custom,")
        assert.notStrictEqual(await join(client, "/custom"), first)
        await client.close()
      })

      it("tells the client that the server has disconnected it", async () => {
        const client = await open()
        await join(client)
        await join(client, "/custom")
        await client.send('42/custom,["bye",false]')
        assert.strictEqual(await client.next(), "41/custom,")
        await client.send('42["message",1]')
        assert.strictEqual(await client.next(), '42["message-back",1]')
        await client.close()
      })

      it("closes the connection with all its namespaces when asked to", async () => {
        const client = await open()
        await join(client)
        await join(client, "/custom")
        await client.send('42["bye",true]')
        assert.sameMembers(await take(client, 2), ["41", "41/custom,"])
        await client.closed
      })

      it.runIf(!isReference)("forgives events that were on their way when the server disconnected", async () => {
        const client = await open()
        await join(client)
        await join(client, "/custom")
        await client.send('42/custom,["bye",false]', '42/custom,["message",1]', '42["message",2]')
        assert.deepStrictEqual(await take(client, 2), ["41/custom,", '42["message-back",2]'])
        await client.close()
      })

      it("knows why sockets went", async () => {
        const watcher = await open()
        await join(watcher)
        const leaver = await open()
        const left = await join(leaver, "/custom")
        await leaver.send("41/custom,")
        const closer = await open()
        const closed = await join(closer)
        await closer.send("1")
        if (!isReference || transport === "polling") await closer.closed
        else await closer.close()
        await within(
          "log entries",
          (async () => {
            for (;;) {
              await watcher.send('420["log"]')
              const [log] = JSON.parse(String(await watcher.next()).slice(3)) as [
                Array<{ sid: string; reason: string }>
              ]
              const reason = (sid: string) => log.find((entry) => entry.sid === sid)?.reason
              if (reason(left) === undefined || reason(closed) === undefined) continue
              assert.strictEqual(reason(left), "client namespace disconnect")
              return assert.strictEqual(reason(closed), "transport close")
            }
          })()
        )
        await leaver.close()
        await watcher.close()
      })
    })

    describe("events and acknowledgements", () => {
      it("carries every JSON value", async () => {
        const client = await open()
        await join(client)
        const args = JSON.stringify([
          1,
          -2.5e-7,
          "\u00e9\u20ac\u{1f600}\u2028",
          true,
          null,
          [],
          {},
          { a: [{ b: null }] }
        ])
        await client.send(`42["message",${args.slice(1, -1)}]`)
        assert.strictEqual(await client.next(), `42["message-back",${args.slice(1, -1)}]`)
        await client.close()
      })

      it("acknowledges with the id that was given", async () => {
        const client = await open()
        await join(client)
        await client.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert.strictEqual(await client.next(), '43456[1,"2",{"3":[false]}]')
        await client.send('420["message-with-ack"]')
        assert.strictEqual(await client.next(), "430[]")
        await client.send('429007199254740991["message-with-ack"]')
        assert.strictEqual(await client.next(), "439007199254740991[]")
        await client.close()
      })

      it("takes acknowledgements of its own events", async () => {
        const client = await open()
        await join(client)
        await client.send('42["ask","what"]')
        const [, id] = /^42(\d+)\["question","what"\]$/.exec(String(await client.next()))!
        await client.send(`43${id}["that",7]`)
        assert.strictEqual(await client.next(), '42["answered","that",7]')
        await client.close()
      })

      it("ignores acknowledgements that nobody waits for", async () => {
        const client = await open()
        await join(client)
        await client.send("43999[1]", '42["ask",1]')
        const [, id] = /^42(\d+)\[/.exec(String(await client.next()))!
        await client.send(`43${id}[1]`, `43${id}[2]`)
        assert.strictEqual(await client.next(), '42["answered",1]')
        await client.send('420["whoami"]')
        assert.match(String(await client.next()), /^430/)
        await client.close()
      })

      it("keeps the order of events", async () => {
        const client = await open()
        await join(client)
        await client.send('42["burst",1000]')
        const packets = await take(client, 1_000)
        assert.deepStrictEqual(
          packets,
          Array.from({ length: 1_000 }, (_, i) => `42["burst-item",${i}]`)
        )
        await client.close()
      })

      it("carries on after an event whose handler fails", async () => {
        const client = await open()
        await join(client)
        await client.send('42["boom"]', '42["error",1]', '42["nobody listens"]', '42["message",1]')
        assert.strictEqual(await client.next(), '42["message-back",1]')
        await client.close()
      })

      it("takes an event called like what objects inherit", async () => {
        const client = await open()
        await join(client)
        await client.send('42["__proto__",1]', '42["constructor"]', '42["toString"]', "42[1.5]", '42["message",1]')
        assert.strictEqual(await client.next(), '42["message-back",1]')
        await client.close()
      })
    })

    describe("binary", () => {
      const placeholder = (num: number) => `{"_placeholder":true,"num":${num}}`
      const bytes = [Uint8Array.from([1, 2, 3]), new Uint8Array(0), Uint8Array.from([255])]

      it("carries several attachments at any depth", async () => {
        const client = await open()
        await join(client)
        const args = `${placeholder(0)},{"a":[${placeholder(1)},{"b":${placeholder(2)}}]}`
        await client.send(`453-["message",${args}]`, ...bytes)
        const [text, ...attachments] = await take(client, 4)
        assert.strictEqual(text, `453-["message-back",${args}]`)
        assert.deepStrictEqual(
          attachments,
          bytes.map((b) => Buffer.from(b))
        )
        await client.close()
      })

      it("acknowledges with binary", async () => {
        const client = await open()
        await join(client)
        await client.send(`451-12["message-with-ack",${placeholder(0)}]`, bytes[0]!)
        assert.deepStrictEqual(await take(client, 2), [`461-12[${placeholder(0)}]`, Buffer.from(bytes[0]!)])
        await client.close()
      })

      it("takes acknowledgements with binary", async () => {
        const client = await open()
        await join(client)
        await client.send('42["ask",1]')
        const [, id] = /^42(\d+)\[/.exec(String(await client.next()))!
        await client.send(`461-${id}[${placeholder(0)}]`, bytes[0]!)
        assert.deepStrictEqual(await take(client, 2), [`451-["answered",${placeholder(0)}]`, Buffer.from(bytes[0]!)])
        await client.close()
      })

      it("works in another namespace", async () => {
        const client = await open()
        await join(client, "/custom")
        await client.send(`451-/custom,["message",${placeholder(0)}]`, bytes[0]!)
        assert.deepStrictEqual(await take(client, 2), [
          `451-/custom,["message-back",${placeholder(0)}]`,
          Buffer.from(bytes[0]!)
        ])
        await client.close()
      })
    })

    describe("rooms", () => {
      const call = async (client: RawClient, ...data: ReadonlyArray<unknown>) => {
        await client.send("427" + JSON.stringify(data))
        const packets: Array<string> = []
        for (;;) {
          const packet = String(await client.next())
          if (packet.startsWith("437")) return packets
          packets.push(packet)
        }
      }

      it("reach their members, once each", async () => {
        const clients = [await open(), await open(), await open()] as const
        for (const client of clients) await join(client)
        const [a, b, c] = clients
        const room = (name: string) => `${transport}-${name}-${a.sid}`
        await call(a, "join", room("x"))
        await call(b, "join", room("x"))
        await call(b, "join", room("y"))
        await call(c, "join", room("y"))
        // To a room, without the sender.
        assert.deepStrictEqual(await call(a, "to-room", room("x"), 1), [])
        assert.strictEqual(await b.next(), '42["room-message",1]')
        // In a room, with the sender.
        assert.deepStrictEqual(await call(a, "in-room", [room("x"), room("y")], 2), ['42["room-message",2]'])
        assert.strictEqual(await b.next(), '42["room-message",2]')
        assert.strictEqual(await c.next(), '42["room-message",2]')
        // Without the members of another room.
        assert.deepStrictEqual(await call(a, "to-room-except", [room("x"), room("y")], room("y"), 3), [
          '42["room-message",3]'
        ])
        // After leaving.
        await call(b, "leave", room("x"))
        assert.deepStrictEqual(await call(a, "in-room", room("x"), 4), ['42["room-message",4]'])
        await call(c, "in-room", room("y"), 5)
        assert.strictEqual(await b.next(), '42["room-message",5]')
        for (const client of clients) await client.close()
      })

      it("of a single socket are called like its id", async () => {
        const [a, b] = [await open(), await open()]
        await join(a)
        const id = await join(b)
        await call(a, "to-room", id, "psst")
        assert.strictEqual(await b.next(), '42["room-message","psst"]')
        await a.close()
        await b.close()
      })

      it("are told by name", async () => {
        const client = await open()
        await join(client)
        await call(client, "join", "b")
        await call(client, "join", "a")
        await client.send('420["rooms"]')
        assert.strictEqual(await client.next(), '430[["a","b"]]')
        await client.close()
      })
    })

    describe("invalid input closes the connection, and nobody else's", () => {
      const invalid: ReadonlyArray<readonly [what: string, ...packets: ReadonlyArray<string | Uint8Array>]> = [
        ["an unknown packet type", "47"],
        ["a packet that is no JSON", '42{"a"'],
        ["an event without a name", "42[]"],
        ["an event whose name is an object", '42[{"toString":"foo"}]'],
        ["an event whose name is null", "42[null]"],
        ["a reserved event name", '42["disconnect"]'],
        ["a payload that is no array", "42{}"],
        ["an acknowledgement that is no array", "430{}"],
        ["a DISCONNECT with a payload", "41{}"],
        ["a binary event without a count", '45["message"]'],
        ["a binary event with a count of none", '450-["message"]'],
        ["too many attachments", '4511-["message"]'],
        ["a count beyond all numbers", `45${"9".repeat(400)}-["message"]`],
        ["a placeholder of no attachment", '451-["message",{"_placeholder":true,"num":1}]', new Uint8Array(1)],
        [
          "a placeholder with a method's name",
          '451-["message",{"_placeholder":true,"num":"splice"}]',
          new Uint8Array(1)
        ],
        ["text while attachments are awaited", '451-["message",{"_placeholder":true,"num":0}]', '42["message"]'],
        ["binary that nobody awaits", new Uint8Array(1)],
        ["an event for a namespace that was not joined", '42/custom,["message"]'],
        ["a CONNECT_ERROR", '44{"message":"no"}'],
        ["a second CONNECT", "40"]
      ]
      const stricter: typeof invalid = [
        ["a bare event", "42"],
        ["a bare acknowledgement", "431"],
        ["an acknowledgement without id", "43[]"],
        ["a blank in an id", '42 7["message"]'],
        ["an id that is no safe integer", '4299999999999999999["message"]'],
        ["an exponent in a count", '451e0-["message"]'],
        ["deep nesting", `42["message",${"[".repeat(20_000)}${"]".repeat(20_000)}]`],
        ["a CONNECT with an array", "40/custom,[]"]
      ]

      for (const [what, ...packets] of isReference ? invalid : [...invalid, ...stricter]) {
        it(`${what}`, async () => {
          const other = await open()
          await join(other)
          const client = await open()
          await join(client)
          await client.send(...packets)
          const started = performance.now()
          await client.closed
          assert.isBelow(performance.now() - started, 1_000)
          await other.send('42["message","fine"]')
          assert.strictEqual(await other.next(), '42["message-back","fine"]')
          await other.close()
        })
      }

      // The reference waits for ever.
      it.runIf(!isReference)("attachments that never come, however many have come before", async () => {
        const client = await openClient(transport, (await waitsForAttachments()).url)
        await join(client)
        await client.send('451-["message",{"_placeholder":true,"num":0}]', new Uint8Array(1))
        await take(client, 2)
        await client.send('453-["message",{"_placeholder":true,"num":0}]', new Uint8Array(1))
        await client.closed
      })

      it("an event before CONNECT", async () => {
        const client = await open()
        await client.send('42["message"]')
        await client.closed
      })

      it("binary before CONNECT", async () => {
        const client = await open()
        await client.send(new Uint8Array(3))
        await client.closed
      })
    })
  })
}
