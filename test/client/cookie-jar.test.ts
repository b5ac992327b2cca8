/**
 * The cookies that a client in Node keeps.
 */
import { assert, describe, it } from "@effect/vitest"

import { request } from "../../src/node/internal/clientRequest.ts"
import { CookieJar } from "../../src/node/internal/cookieJar.ts"

describe("a cookie jar", () => {
  const url = "http://a.test:1/socket.io/?x"
  const cookieOf = (jar: CookieJar, url: string, headers = {}) => jar.addTo(url, headers)["cookie"]

  it("forgets cookies when they expire, Max-Age before Expires", () => {
    let now = 1_700_000_000_000
    const jar = new CookieJar(() => now)
    const at = (ms: number) => new Date(now + ms).toUTCString()
    jar.store(url, [
      "session=1",
      "age=2; Max-Age=10",
      `date=3; Expires=${at(20_000)}`,
      `both=4; Expires=${at(-1_000)}; Max-Age=30`,
      `past=5; Expires=${at(-1_000)}`,
      `no=6; Max-Age=0; Expires=${at(1_000)}`
    ])
    assert.strictEqual(cookieOf(jar, url), "session=1; age=2; date=3; both=4")
    now += 10_000
    assert.strictEqual(cookieOf(jar, url), "session=1; date=3; both=4")
    now += 10_000
    assert.strictEqual(cookieOf(jar, url), "session=1; both=4")
    now += 10_000
    assert.strictEqual(cookieOf(jar, url), "session=1")
  })

  it("replaces cookies, and removes them when a server says so", () => {
    const jar = new CookieJar(() => 0)
    jar.store(url, ["a=1", "b=2"])
    jar.store(url, ["a=3"])
    assert.strictEqual(cookieOf(jar, url), "b=2; a=3")
    jar.store(url, ["b=; Max-Age=-1"])
    assert.strictEqual(cookieOf(jar, url), "a=3")
  })

  it("gives cookies to the origin that has set them only, over WebSocket too", () => {
    const jar = new CookieJar(() => 0)
    jar.store(url, ["a=1; Domain=test"])
    assert.strictEqual(cookieOf(jar, "ws://a.test:1/other"), "a=1")
    for (const other of ["http://a.test:2/", "http://b.test:1/", "https://a.test:1/", "wss://a.test:1/"]) {
      assert.isUndefined(cookieOf(jar, other), other)
    }
  })

  it("keeps values as they are, ignores what is no cookie, and does not grow without end", () => {
    const jar = new CookieJar(() => 0)
    jar.store(url, ["a=%E4=x%zz", "", "nothing", "=1", "b c=2"])
    assert.strictEqual(cookieOf(jar, url), "a=%E4=x%zz")
    for (let i = 0; i < 1_000; i++) jar.store(url, [`n${i}=1`])
    assert.strictEqual(cookieOf(jar, url)!.split("; ").length, 200)
    assert.match(cookieOf(jar, url)!, /n999=1$/)
  })

  it("keeps nothing of the origins where redirects end: each response may lead to another one", async () => {
    const jar = new CookieJar(() => 0)
    const poll = (endedAt: string) =>
      request(
        { method: "GET", url, headers: {}, body: undefined, withCredentials: true },
        {
          fetch: () =>
            Promise.resolve({ status: 200, url: endedAt, headers: { getSetCookie: () => ["a=1"] }, body: null }),
          maxPayload: 1_000,
          jar,
          signal: new AbortController().signal
        }
      )
    await poll("http://b.test:1/")
    assert.isUndefined(cookieOf(jar, "http://b.test:1/"))
    assert.isUndefined(cookieOf(jar, url))
    await poll("http://a.test:1/elsewhere")
    assert.strictEqual(cookieOf(jar, url), "a=1")
  })
})
