/**
 * Clients that read no bytes: pages of old that load scripts (JSONP), and those that ask for base64.
 */
import { assert, describe, it } from "@effect/vitest"

import { postAsJsonp, runJsonp } from "../support/codecsV3.ts"
import { joinV3, splitV3 } from "../support/payloadsV3.ts"
import { engineUrl, RawSocket, request, type Response } from "../support/RawClient.ts"
import { isReference, sharedServer } from "../support/servers.ts"

const server = sharedServer({ allowEIO3: true })

type Revision = "3" | "4"

const join = (EIO: Revision, packets: ReadonlyArray<string>) => (EIO === "3" ? joinV3(packets) : packets.join("\x1e"))

/** The official server calls its scripts plain text, which browsers refuse to run where they are told not to guess. */
const SCRIPT = isReference ? "text/plain; charset=UTF-8" : "text/javascript; charset=UTF-8"

/** The index that a page gives its client: it calls `___eio[7]` with every payload. */
const INDEX = 7

/** A client by hand that polls with scripts and posts forms, as browsers do. */
class ScriptClient {
  readonly EIO: Revision
  readonly sid: string
  private readonly url: string
  private readonly waiting: Array<string> = []

  private constructor(EIO: Revision, url: string, sid: string) {
    this.EIO = EIO
    this.url = engineUrl(url, { EIO, transport: "polling", sid, j: String(INDEX) })
    this.sid = sid
  }

  static async open(EIO: Revision): Promise<ScriptClient> {
    const { url } = await server()
    const { body } = await request(engineUrl(url, { EIO, transport: "polling", j: String(INDEX) }))
    const [packet, ...rest] = split(EIO, runJsonp(INDEX, body) as string)
    const client = new ScriptClient(EIO, url, JSON.parse(packet!.slice(1)).sid)
    client.waiting.push(...rest)
    return client
  }

  /** Opens a session and joins the default namespace, where that takes asking. */
  static async join(EIO: Revision): Promise<ScriptClient> {
    const client = await ScriptClient.open(EIO)
    if (EIO === "4") await client.send("40")
    assert.match(await client.next(), EIO === "4" ? /^40\{"sid":"[\w-]+"\}$/ : /^40$/)
    assert.strictEqual(await client.next(), '42["auth",{}]')
    return client
  }

  poll(): Promise<Response> {
    return request(this.url)
  }

  post(body: string): Promise<Response> {
    return request(this.url, {
      method: "POST",
      body,
      headers: { "content-type": "application/x-www-form-urlencoded" }
    })
  }

  async send(...packets: ReadonlyArray<string>): Promise<void> {
    const { body, status } = await this.post(postAsJsonp(join(this.EIO, packets)))
    assert.deepStrictEqual([status, body], [200, "ok"])
  }

  async next(): Promise<string> {
    while (this.waiting.length === 0) {
      const { body } = await this.poll()
      this.waiting.push(...split(this.EIO, runJsonp(INDEX, body) as string))
    }
    return this.waiting.shift()!
  }

  /** A binary message, in the form of its revision. */
  binary(bytes: Uint8Array): string {
    return (this.EIO === "3" ? "b4" : "b") + Buffer.from(bytes).toString("base64")
  }

  async close(): Promise<void> {
    await this.send("1")
  }
}

const split = (EIO: Revision, payload: string) => (EIO === "3" ? splitV3(payload) : payload.split("\x1e"))

for (const EIO of ["4", "3"] as const) {
  describe(`JSONP of Engine.IO ${EIO}`, () => {
    it("answers with a script that calls back", async () => {
      const client = await ScriptClient.join(EIO)
      await client.send('42["message","x"]')
      const { body, headers, status } = await client.poll()
      const packet = '42["message-back","x"]'
      assert.strictEqual(status, 200)
      assert.strictEqual(body, `___eio[7](${JSON.stringify(join(EIO, [packet]))});`)
      assert.strictEqual(headers["content-type"], SCRIPT)
      assert.strictEqual(headers["content-length"], String(body.length))
      await client.close()
    })

    it("opens with a script, too", async () => {
      const { url } = await server()
      const { body, headers } = await request(engineUrl(url, { EIO, transport: "polling", j: "3" }))
      assert.match(body, EIO === "4" ? /^___eio\[3\]\("0\{\\"sid\\"/ : /^___eio\[3\]\("\d+:0\{\\"sid\\"/)
      assert.strictEqual(headers["content-type"], SCRIPT)
    })

    it("keeps of the index the digits, so that nothing else gets into the script", async () => {
      const { url } = await server()
      for (const [j, index] of [
        ["1];alert(2);//\u0663", "12"],
        ["-7", "7"],
        ["x", ""]
      ] as const) {
        const { body } = await request(engineUrl(url, { EIO, transport: "polling", j }))
        assert.isTrue(body.startsWith(`___eio[${index}]("`), body)
      }
    })

    it("leaves no line separators in the script", async () => {
      const client = await ScriptClient.join(EIO)
      const text = "a\u2028b\u2029c"
      await client.send(`42["message","${text}"]`)
      const { body } = await client.poll()
      assert.notMatch(body, /[\u2028\u2029]/)
      assert.include(body, String.raw`a\u2028b\u2029c`)
      assert.strictEqual(runJsonp(INDEX, body), join(EIO, [`42["message-back","${text}"]`]))
      await client.close()
    })

    it("acknowledges forms as other posts", async () => {
      const client = await ScriptClient.join(EIO)
      const { headers } = await client.post(postAsJsonp(join(EIO, ['42["message","x"]'])))
      assert.strictEqual(headers["content-type"], "text/html")
      assert.strictEqual(await client.next(), '42["message-back","x"]')
      await client.close()
    })

    it("carries events and acknowledgements both ways, whatever characters are in them", async () => {
      const client = await ScriptClient.join(EIO)
      const values = [
        "späte grüße 😀",
        "quotes \" and ' and <b>",
        "newline \n and \\n and \\\\n",
        "\\",
        "& = + % ; 100 %",
        "\u0000\u001f"
      ]
      for (const value of values) {
        await client.send(`42["message",${JSON.stringify(value)}]`)
        assert.strictEqual(await client.next(), `42["message-back",${JSON.stringify(value)}]`)
      }
      await client.send('427["message-with-ack",1]', '42["ask","?"]')
      assert.strictEqual(await client.next(), "437[1]")
      const question = /^42(\d+)\["question","\?"\]$/.exec(await client.next())
      assert.isNotNull(question)
      await client.send(`43${question![1]}["answer"]`)
      assert.strictEqual(await client.next(), '42["answered","answer"]')
      await client.close()
    })

    // The official server makes no payload of bytes.
    it.skipIf(isReference && EIO === "3")("carries bytes as base64, both ways", async () => {
      const client = await ScriptClient.join(EIO)
      const bytes = Uint8Array.from({ length: 300 }, (_, i) => i & 255)
      await client.send('451-["message",{"_placeholder":true,"num":0}]', client.binary(bytes))
      assert.strictEqual(await client.next(), '451-["message-back",{"_placeholder":true,"num":0}]')
      assert.strictEqual(await client.next(), client.binary(bytes))
      await client.close()
    })

    it("holds a script until there is something", async () => {
      const client = await ScriptClient.join(EIO)
      const held = client.poll()
      await client.send('42["message","late"]')
      assert.strictEqual(runJsonp(INDEX, (await held).body), join(EIO, ['42["message-back","late"]']))
      await client.close()
    })

    it("can change over to a WebSocket", async () => {
      const client = await ScriptClient.join(EIO)
      const socket = new RawSocket((await server()).url, { EIO, transport: "websocket", sid: client.sid })
      await socket.opened
      socket.send("2probe")
      assert.strictEqual(await socket.next(), "3probe")
      // The held response is released as a script; before the probe there was none.
      assert.strictEqual(runJsonp(INDEX, (await client.poll()).body), join(EIO, ["6"]))
      socket.send("5", '421["transport"]')
      assert.strictEqual(await socket.next(), '431["websocket"]')
      socket.close()
    })

    // The official server takes no notice of these.
    for (const [what, body] of [
      ["no field d", "x=1"],
      ["two fields d", "d=1&d=2"],
      ["nothing in it", ""]
    ] as const) {
      it.skipIf(isReference)(`ends the session at a form with ${what}: a parse error`, async () => {
        const client = await ScriptClient.join(EIO)
        await client.send('421["whoami"]')
        const [id] = JSON.parse((await client.next()).slice(3)) as [string]
        await client.post(body)
        const { body: refusal, status } = await client.poll()
        assert.deepStrictEqual([status, JSON.parse(refusal)], [400, { code: 1, message: "Session ID unknown" }])
        const observer = await ScriptClient.join(EIO)
        await observer.send('421["log"]')
        const [log] = JSON.parse((await observer.next()).slice(3)) as [
          ReadonlyArray<{ readonly reason: string; readonly sid: string }>
        ]
        assert.strictEqual(log.find(({ sid }) => sid === id)?.reason, "parse error")
        await observer.close()
      })
    }
  })
}

describe("base64 for clients that ask for it", () => {
  const bytes = Buffer.from([0, 1, 2, 254, 255])

  it("stands in text frames of Engine.IO 4, and is taken from there", async () => {
    const socket = new RawSocket((await server()).url, { EIO: "4", transport: "websocket", b64: "1" })
    assert.match(String(await socket.next()), /^0\{/)
    socket.send("40")
    assert.match(String(await socket.next()), /^40\{/)
    assert.strictEqual(await socket.next(), '42["auth",{}]')
    for (const form of [`b${bytes.toString("base64")}`, bytes]) {
      socket.send('451-["message",{"_placeholder":true,"num":0}]', form)
      assert.strictEqual(await socket.next(), '451-["message-back",{"_placeholder":true,"num":0}]')
      assert.strictEqual(await socket.next(), `b${bytes.toString("base64")}`)
    }
    socket.close()
  })

  it("stands in text frames of Engine.IO 3, behind the type", async () => {
    const socket = new RawSocket((await server()).url, { EIO: "3", transport: "websocket", b64: "1" })
    assert.match(String(await socket.next()), /^0\{/)
    assert.strictEqual(await socket.next(), "40")
    assert.strictEqual(await socket.next(), '42["auth",{}]')
    socket.send('451-["message",{"_placeholder":true,"num":0}]', `b4${bytes.toString("base64")}`)
    assert.strictEqual(await socket.next(), '451-["message-back",{"_placeholder":true,"num":0}]')
    assert.strictEqual(await socket.next(), `b4${bytes.toString("base64")}`)
    socket.close()
  })

  it("is sent to those alone in a broadcast", async () => {
    const { url } = await server()
    const sockets = [
      new RawSocket(url, { EIO: "4", transport: "websocket", b64: "1" }),
      new RawSocket(url, { EIO: "4", transport: "websocket" }),
      new RawSocket(url, { EIO: "3", transport: "websocket", b64: "1" }),
      new RawSocket(url, { EIO: "3", transport: "websocket" })
    ]
    for (const [i, socket] of sockets.entries()) {
      await socket.next()
      if (i < 2) socket.send("40")
      await socket.next()
      await socket.next()
      socket.send('421["join","base64"]')
      assert.match(String(await socket.next()), /^431\[/)
    }
    sockets[0]!.send('451-2["in-room","base64",{"_placeholder":true,"num":0}]', bytes)
    const forms = [
      `b${bytes.toString("base64")}`,
      bytes,
      `b4${bytes.toString("base64")}`,
      Buffer.concat([Buffer.from([4]), bytes])
    ]
    for (const [i, socket] of sockets.entries()) {
      let packet = await socket.next()
      // Its own answer may come before.
      if (packet === "432[]") packet = await socket.next()
      assert.strictEqual(packet, '451-["room-message",{"_placeholder":true,"num":0}]')
      assert.deepStrictEqual(await socket.next(), forms[i])
      socket.close()
    }
  })

  it("stands in text payloads of Engine.IO 3, where others get bytes", async () => {
    const { url } = await server()
    for (const [b64, contentType] of [
      ["1", "text/plain; charset=UTF-8"],
      ["", "application/octet-stream"]
    ] as const) {
      const query = { EIO: "3", transport: "polling", ...(b64 === "" ? {} : { b64 }) }
      const open = await request(engineUrl(url, query))
      // Without b64 the official server makes bytes of every payload.
      const { sid } = JSON.parse(/\{.*\}/.exec(open.body)![0])
      const target = engineUrl(url, { ...query, sid })
      const packets = ['451-["message",{"_placeholder":true,"num":0}]', `b4${bytes.toString("base64")}`]
      await request(target, { method: "POST", body: joinV3(packets), headers: { "content-type": "text/plain" } })
      let polled = await request(target)
      while (!polled.body.includes("message-back")) polled = await request(target)
      assert.strictEqual(polled.headers["content-type"], contentType)
      if (b64 === "1") assert.include(splitV3(polled.body), packets[1])
      else assert.isTrue(polled.bytes.includes(Buffer.concat([Buffer.from([1, 6, 255, 4]), bytes])))
    }
  })
})
