import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import * as EnginePayloadV3 from "../../src/protocol/EnginePayloadV3.ts"
import * as official from "../support/codecsV3.ts"
import { anyText, settings, text } from "./arbitraries.ts"

describe("JSONP of Engine.IO 3", () => {
  it("answers with a call, as in the protocol's document", () => {
    assert.strictEqual(EnginePayloadV3.jsonpBody("4", "packet data"), '___eio[4]("packet data");')
  })

  it("keeps of the index only the digits", () => {
    assert.strictEqual(EnginePayloadV3.jsonpBody("1];alert(2);//\u0663", "1:6"), '___eio[12]("1:6");')
  })

  it("leaves no line separators in the answer", () => {
    assert.strictEqual(EnginePayloadV3.jsonpBody("0", "5:4a\u2028\u2029b"), String.raw`___eio[0]("5:4a\u2028\u2029b");`)
  })

  it("answers like the official server, so that a browser gets the payload", () => {
    const payload = fc.oneof(text, anyText, fc.constant("\u2028</script>\u2029\"'"))
    const index = fc.oneof(fc.nat().map(String), anyText)
    fc.assert(
      fc.property(index, payload, (index, payload) => {
        assert.strictEqual(EnginePayloadV3.jsonpBody(index, payload), official.jsonpAnswer(index, payload))
      }),
      settings
    )
    fc.assert(
      fc.property(fc.nat(), payload, (index, payload) => {
        assert.strictEqual(official.runJsonp(index, EnginePayloadV3.jsonpBody(String(index), payload)), payload)
      }),
      { ...settings, numRuns: 100 }
    )
  })

  it("reads what the official client posts", () => {
    fc.assert(
      fc.property(fc.oneof(text, anyText), (payload) => {
        // Two forms that the client writes alike and the official server reads alike: a newline after a backslash.
        fc.pre(!payload.includes("\\\n"))
        const body = official.postAsJsonp(payload)
        assert.strictEqual(EnginePayloadV3.decodeJsonpForm(body), payload.toWellFormed())
      }),
      settings
    )
  })

  it("reads backslashes and newlines as the client writes them", () => {
    for (const payload of [
      "\n",
      "\\n",
      "\\\\n",
      "\\\\\\n",
      "\n\\n",
      "\\n\n",
      "\\\\",
      "n\\",
      "\\t",
      '4["a\\nb\\\\n"]'
    ]) {
      assert.strictEqual(EnginePayloadV3.decodeJsonpForm(official.postAsJsonp(payload)), payload, payload)
    }
  })

  it("reads any form like the official server", () => {
    const piece = fc.constantFrom(
      ..."d=&+n\\?%x",
      "d=",
      "&d=",
      "%64=",
      "%64",
      "%6",
      "\\n",
      "%5Cn",
      "%0A",
      "%E2%82%AC",
      "%FF"
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const body = pieces.join("")
        assert.strictEqual(EnginePayloadV3.decodeJsonpForm(body), official.readJsonpForm(body), body)
      }),
      settings
    )
  })

  it("finds no payload in a form without a field d, or with several", () => {
    for (const body of ["", "&", "=d", "D=1", "dd=1", "?d=1", "%644=1", "e=d=1", "d=1&d=2", "d=1&%64=1"]) {
      assert.isUndefined(EnginePayloadV3.decodeJsonpForm(body), body)
    }
    for (const body of ["d=1", "%64=1", "e=2&d=1&f", "&&d=1&"]) {
      assert.strictEqual(EnginePayloadV3.decodeJsonpForm(body), "1", body)
    }
    assert.strictEqual(EnginePayloadV3.decodeJsonpForm("d"), "")
  })

  it("reads forms in linear time, whatever they are", () => {
    for (const unit of ["&", "a&", "=", "d", "%64", "%", "+", "\\", "\\n", "%5Cn"]) {
      const body = "d=" + unit.repeat(1_000_000)
      EnginePayloadV3.decodeJsonpForm(body)
      EnginePayloadV3.decodeJsonpForm(body.slice(2) + "&d=1")
    }
  })
})
