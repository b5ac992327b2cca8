import { assert, describe, it } from "@effect/vitest"

import { engineUrl, openClient, RawSocket, request, transports } from "../support/RawClient.ts"
import { isReference, sharedServer } from "../support/servers.ts"

const server = sharedServer({ pingInterval: 12_000, pingTimeout: 7_000, maxPayload: 54_321 })

const openData = { upgrades: [] as Array<string>, pingInterval: 12_000, pingTimeout: 7_000, maxPayload: 54_321 }

const handshake = async (query: Record<string, string>, options: Parameters<typeof request>[1] = {}) =>
  request(engineUrl((await server()).url, query), options)

/** The response to a WebSocket handshake that is refused, as it is on the wire. */
const upgrade = async (query: Record<string, string>) => {
  const response = await handshake(query, {
    headers: {
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="
    }
  })
  return { status: response.status, body: response.body, connection: response.headers.connection }
}

describe("Engine.IO handshake", () => {
  it("answers over polling with the open packet", async () => {
    const { body, headers, status } = await handshake({ EIO: "4", transport: "polling" })
    assert.strictEqual(status, 200)
    assert.strictEqual(body[0], "0")
    const { sid, ...rest } = JSON.parse(body.slice(1))
    assert.match(sid, /^[\w-]{20}$/)
    assert.deepStrictEqual(rest, { ...openData, upgrades: ["websocket"] })
    assert.deepStrictEqual(Object.keys(JSON.parse(body.slice(1))), [
      "sid",
      "upgrades",
      "pingInterval",
      "pingTimeout",
      "maxPayload"
    ])
    assert.strictEqual(headers["content-type"], "text/plain; charset=UTF-8")
    assert.strictEqual(headers["cache-control"], "no-store")
    assert.strictEqual(headers["content-length"], String(body.length))
  })

  it("answers over WebSocket with the open packet, without upgrades", async () => {
    const socket = new RawSocket((await server()).url, { EIO: "4", transport: "websocket" })
    const packet = String(await socket.next())
    assert.strictEqual(packet[0], "0")
    const { sid, ...rest } = JSON.parse(packet.slice(1))
    assert.match(sid, /^[\w-]{20}$/)
    assert.deepStrictEqual(rest, openData)
    socket.close()
  })

  it("gives every session an id of its own", async () => {
    const { url } = await server()
    const clients = await Promise.all(transports.flatMap((name) => [openClient(name, url), openClient(name, url)]))
    assert.strictEqual(new Set(clients.map(({ sid }) => sid)).size, clients.length)
    await Promise.all(clients.map((client) => client.close()))
  })

  it("takes the path with and without a trailing query, and the last of two equal parameters", async () => {
    const { url } = await server()
    const { status } = await request(`${url}/socket.io/?EIO=3&transport=nothing&EIO=4&transport=polling`)
    assert.strictEqual(status, 200)
  })

  const refusals: ReadonlyArray<
    readonly [what: string, query: Record<string, string>, code: number, message: string, method?: string]
  > = [
    ["a missing transport", { EIO: "4" }, 0, "Transport unknown"],
    ["an unknown transport", { EIO: "4", transport: "abc" }, 0, "Transport unknown"],
    ["a transport called __proto__", { EIO: "4", transport: "__proto__" }, 0, "Transport unknown"],
    ["a transport called constructor", { EIO: "4", transport: "constructor" }, 0, "Transport unknown"],
    ["an unknown session", { EIO: "4", transport: "polling", sid: "abc" }, 1, "Session ID unknown"],
    ["a session called __proto__", { EIO: "4", transport: "polling", sid: "__proto__" }, 1, "Session ID unknown"],
    ["POST without a session", { EIO: "4", transport: "polling" }, 2, "Bad handshake method", "POST"],
    ["OPTIONS without CORS", { EIO: "4", transport: "polling" }, 2, "Bad handshake method", "OPTIONS"],
    ["a WebSocket without upgrade", { EIO: "4", transport: "websocket" }, 3, "Bad request"],
    ["a missing revision", { transport: "polling" }, 5, "Unsupported protocol version"],
    ["revision 3", { EIO: "3", transport: "polling" }, 5, "Unsupported protocol version"],
    ["revision 5", { EIO: "5", transport: "polling" }, 5, "Unsupported protocol version"],
    ["a revision that is none", { EIO: "abc", transport: "polling" }, 5, "Unsupported protocol version"]
  ]

  for (const [what, query, code, message, method] of refusals) {
    it(`refuses ${what} over HTTP with code ${code}`, async () => {
      const { body, headers, status } = await handshake(query, method === undefined ? {} : { method })
      assert.strictEqual(status, 400)
      assert.strictEqual(headers["content-type"], "application/json")
      assert.deepStrictEqual(JSON.parse(body), { code, message })
    })
  }

  for (const [what, query, , message] of refusals) {
    // A request that names a method or asks for a WebSocket is no mistake here; the reference answers old revisions after its 101.
    if (message === "Bad handshake method" || message === "Bad request") continue
    if (message === "Unsupported protocol version" && isReference) continue
    const overWebSocket = query.transport === "polling" ? { ...query, transport: "websocket" } : query
    it(`refuses ${what} before an upgrade`, async () => {
      assert.deepStrictEqual(await upgrade(overWebSocket), { status: 400, body: message, connection: "close" })
    })
  }

  it("refuses a request of another revision in a session", async () => {
    const { body } = await handshake({ EIO: "4", transport: "polling" })
    const { sid } = JSON.parse(body.slice(1))
    const response = await handshake({ EIO: "3", transport: "polling", sid })
    assert.strictEqual(response.status, 400)
    assert.deepStrictEqual(JSON.parse(response.body), { code: 3, message: "Bad request" })
  })

  it("refuses an origin with characters that no header has", async () => {
    const { body, status } = await handshake(
      { EIO: "4", transport: "polling" },
      { headers: { origin: "http://\u00e9" } }
    )
    // Node's own client sends the character as one byte, which is legal; the check is for what proxies let through.
    assert.strictEqual(status, 200)
    assert.strictEqual(body[0], "0")
  })

  it("leaves other paths alone", async () => {
    const { url } = await server()
    const { status } = await request(`${url}/socket.iox/?EIO=4&transport=polling`).catch(() => ({ status: 404 }))
    assert.strictEqual(status, 404)
  })
})

describe("cross-origin requests", () => {
  const closed = sharedServer()
  const one = sharedServer({ cors: { origin: "https://example.com", credentials: true } })
  const any = sharedServer({ cors: { origin: "*" } })
  const ask = (url: string, origin: string, method = "GET", headers = {}) =>
    request(engineUrl(url, { EIO: "4", transport: "polling" }), { method, headers: { origin, ...headers } })

  it("are not allowed by default", async () => {
    const { headers, status } = await ask((await closed()).url, "https://example.com")
    assert.strictEqual(status, 200)
    assert.isUndefined(headers["access-control-allow-origin"])
  })

  it("are allowed to the origin that is named, with credentials", async () => {
    const { headers } = await ask((await one()).url, "https://example.com")
    assert.strictEqual(headers["access-control-allow-origin"], "https://example.com")
    assert.strictEqual(headers["access-control-allow-credentials"], "true")
    assert.include(headers.vary, "Origin")
  })

  it("are not allowed to another origin", async () => {
    const { headers } = await ask((await one()).url, "https://example.org")
    assert.notStrictEqual(headers["access-control-allow-origin"], "https://example.org")
    assert.notStrictEqual(headers["access-control-allow-origin"], "*")
  })

  it("are allowed to everybody with *", async () => {
    const { headers } = await ask((await any()).url, "https://example.org")
    assert.strictEqual(headers["access-control-allow-origin"], "*")
  })

  it("are announced by a preflight request", async () => {
    const { body, headers, status } = await ask((await one()).url, "https://example.com", "OPTIONS", {
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type,x-custom"
    })
    assert.strictEqual(status, 204)
    assert.strictEqual(body, "")
    assert.strictEqual(headers["access-control-allow-origin"], "https://example.com")
    assert.include(headers["access-control-allow-methods"], "POST")
    assert.strictEqual(headers["access-control-allow-headers"], "content-type,x-custom")
  })

  it("get their headers with errors, too", async () => {
    const { url } = await one()
    const { headers, status } = await request(engineUrl(url, { EIO: "4", transport: "polling", sid: "gone" }), {
      headers: { origin: "https://example.com" }
    })
    assert.strictEqual(status, 400)
    assert.strictEqual(headers["access-control-allow-origin"], "https://example.com")
  })
})
