/**
 * The frames between servers that pass requests on: every peer may be a stranger until it has greeted, and a mistake of
 * one server must not harm another.
 */
import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import * as fc from "fast-check"

import { decodeAddress, encodeAddress } from "../../src/engine/NodeDirectory.ts"
import { isTag, makeGenerator, tagOf } from "../../src/engine/SessionId.ts"
import { frame, FrameReader, MAX_FRAME } from "../../src/node/internal/routing/frames.ts"
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from "../../src/node/internal/routing/heads.ts"
import { count } from "../support/extent.ts"

describe("frames", () => {
  const frames = fc.array(
    fc.tuple(fc.integer({ min: 0, max: 255 }), fc.nat(2 ** 32 - 1), fc.uint8Array({ maxLength: 300 }))
  )

  it("are whole however their bytes are cut", () => {
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1 }), (sent, sizes) => {
        const bytes = Buffer.concat(sent.map(([type, id, payload]) => frame(type, id, payload)))
        const received: Array<readonly [number, number, Uint8Array]> = []
        const reader = new FrameReader((type, id, payload) => received.push([type, id, Uint8Array.from(payload)]))
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = at + sizes[i % sizes.length]!
          assert.isTrue(reader.push(bytes.subarray(at, end)))
          at = end
        }
        assert.deepStrictEqual(received, sent)
        assert.strictEqual(reader.remainder.length, 0)
      }),
      { numRuns: count(500, 50) }
    )
  })

  it("are refused if they are too long, or too short", () => {
    for (const length of [0, 4, MAX_FRAME + 1, 2 ** 32 - 1]) {
      const bytes = Buffer.alloc(9)
      bytes.writeUInt32BE(length, 0)
      assert.isFalse(new FrameReader(() => assert.fail()).push(bytes))
    }
  })
})

describe("heads", () => {
  const head = {
    method: "GET",
    url: "/socket.io/?x=\u20ac",
    address: "::1",
    secure: true,
    headers: { a: "b", c: ["d", "e"] }
  }

  it("come back as they were", () => {
    assert.deepStrictEqual(decodeRequest(Buffer.from(encodeRequest(head))), head)
    const response = { status: 200, headers: { "content-length": 3, "set-cookie": ["a", "b"], x: "\u00ff" } }
    const bytes = Buffer.concat([encodeResponse(response), Buffer.from("abc")])
    assert.deepStrictEqual(decodeResponse(bytes), { head: response, body: Buffer.from("abc") })
  })

  it("do not throw, whatever comes", () => {
    const part = fc.oneof(fc.jsonValue(), fc.constant("GET"), fc.constant({ host: "x" }))
    fc.assert(
      fc.property(fc.oneof(fc.array(part, { maxLength: 6 }), fc.jsonValue()), fc.uint8Array(), (value, noise) => {
        const text = Buffer.from(JSON.stringify(value))
        decodeRequest(text)
        decodeRequest(Buffer.from(noise))
        decodeResponse(Buffer.from(noise))
        const size = Buffer.alloc(4)
        size.writeUInt32BE(text.length)
        decodeResponse(Buffer.concat([size, text]))
      }),
      { numRuns: count(2_000, 200) }
    )
  })

  for (const [what, text] of [
    ["no JSON", "["],
    ["too little", '["GET","/"]'],
    ["headers that are none", '["GET","/","",false,[]]'],
    ["a header that is none", '["GET","/","",false,{"a":{}}]'],
    ["an address that is none", '["GET","/",7,false,{}]']
  ]) {
    it(`are refused with ${what}`, () => assert.isUndefined(decodeRequest(Buffer.from(text!))))
  }
})

describe("addresses", () => {
  it("come back from their texts as they were", () => {
    for (const address of [
      { path: "/run/x.sock", secret: "s" },
      { host: "::1", port: 7, secret: "s" }
    ]) {
      assert.deepStrictEqual(decodeAddress(encodeAddress(address)), Option.some(address))
    }
  })

  it("are not in other texts", () => {
    for (const text of [
      "",
      "null",
      "[]",
      '{"path":"/x"}',
      '{"path":"","secret":"s"}',
      '{"path":"/x","secret":""}',
      '{"host":"x","secret":"s"}',
      '{"host":"x","port":0,"secret":"s"}',
      '{"host":"x","port":65536,"secret":"s"}',
      '{"host":"x","port":"7","secret":"s"}',
      JSON.stringify({ path: "x".repeat(3_000), secret: "s" })
    ]) {
      assert.strictEqual(decodeAddress(text)._tag, "None", text.slice(0, 50))
    }
  })
})

describe("ids with a tag", () => {
  it("have 96 random bits after it", () => {
    const generate = makeGenerator(undefined, "a-_Z")
    const ids = Array.from({ length: 2_000 }, generate)
    assert.strictEqual(new Set(ids).size, ids.length)
    for (const id of ids) {
      assert.match(id, /^a-_Z[\w-]{16}$/)
      assert.strictEqual(tagOf(id), "a-_Z")
    }
    // Every position takes every character.
    for (let at = 4; at < 20; at++) assert.strictEqual(new Set(ids.map((id) => id[at])).size, 64)
  })

  it("are told from other texts", () => {
    for (const text of ["", "abc", "x".repeat(19), "x".repeat(21), "a.bc" + "x".repeat(16)]) {
      assert.isUndefined(tagOf(text))
    }
    assert.isFalse(isTag("abc\n"))
    assert.isFalse(isTag("abcd\n"))
  })
})
