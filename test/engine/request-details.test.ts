import { assert, describe, it } from "@effect/vitest"

import { keepHeaders, RequestDetails } from "../../src/engine/RequestDetails.ts"

const detailsOf = (headers: Readonly<Record<string, string>>) =>
  new RequestDetails(keepHeaders(headers, Object.keys(headers).length), "/socket.io/", "127.0.0.1", false, 0)

describe("the headers that a session keeps", () => {
  it("are the request's own", () => {
    const headers = { host: "a", cookie: "b=c" }
    assert.strictEqual(detailsOf(headers).headers, headers)
  })

  it("are the same if there are hundreds, and take no more memory than their text", () => {
    const headers = Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`x-${i}`, `"é" ${i}`]))
    const details = detailsOf(headers)
    assert.deepStrictEqual(details.headers, headers)
    assert.isTrue(Object.values(details).every((kept) => kept !== headers))
    assert.isString(keepHeaders(headers, 900))
  })
})
