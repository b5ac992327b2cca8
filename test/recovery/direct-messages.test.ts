/**
 * The messages for one client, and the texts outside of the heap, against lists of them.
 */
import { assert, describe, it } from "@effect/vitest"

import { TextQueue } from "../../src/internal/textQueue.ts"
import { isPlain, makeUtf8, utf8Length, writePlain, writeUtf8 } from "../../src/internal/utf8.ts"
import { DirectMessages, type MessageTexts } from "../../src/recovery/DirectMessages.ts"
import { count } from "../support/extent.ts"
import { makeRandom, type Numbers } from "./random.ts"

const ALPHABETS = ['abc {}":,', "äöüß", "прив", "漢字", "😀🎉", "a漢😀ß"].map((letters) => Array.from(letters))

const textOf = ({ below, pick }: Numbers, alphabets = ALPHABETS): string => {
  const letters = pick(alphabets)
  const length = pick([1, 5, 60, 300]) + below(20)
  return Array.from({ length }, () => pick(letters)).join("")
}

interface Message {
  readonly text: string
  readonly memory: number
  /** It is more than a text. */
  readonly isMore: boolean
}

const memoryOf = (characters: number): number => 280 + 2 * characters

const texts: MessageTexts<Message> = {
  textOf: ({ isMore, text }) => (isMore ? undefined : text),
  ofText: (text) => ({ text, memory: memoryOf(text.length), isMore: false }),
  memoryOf
}

describe("a queue of texts", () => {
  it("is the list of them, and has at most twice their memory", () => {
    for (let seed = 0; seed < count(100, 30); seed++) {
      const random = makeRandom(seed)
      const queue = new TextQueue()
      const list: Array<{ readonly text: string; readonly size: number }> = []
      for (let step = 0; step < 300; step++) {
        // In some of the time there are more and more, and in some fewer.
        if (random.below(10) < (step % 100 < 60 ? 7 : 2)) {
          const text = textOf(random)
          const isRefused = random.below(10) === 0
          if (random.below(4) === 0) {
            const texts = [text, textOf(random), ""]
            const isPushed = queue.pushPlain(texts.join(""))
            assert.strictEqual(isPushed, texts.every(isPlain))
            if (isPushed) list.push(...texts.map((each) => ({ text: each, size: each.length })))
            continue
          }
          const size = queue.push(text, isRefused ? utf8Length(text) - 1 : utf8Length(text))
          assert.strictEqual(size, utf8Length(text))
          if (!isRefused) list.push({ text, size })
        } else {
          const dropped = list.splice(0, random.below(5))
          queue.drop(dropped.reduce((bytes, { size }) => bytes + size, 0))
          const used = list.reduce((bytes, { size }) => bytes + size, 0)
          assert.isAtMost(queue.capacity, Math.max(512, 2 * used), `seed ${seed}, step ${step}`)
        }
        const sizes = list.map(({ size }) => size)
        assert.deepStrictEqual(
          queue.toArray(sizes),
          list.map(({ text }) => text),
          `seed ${seed}, step ${step}`
        )
      }
    }
  })
})

describe("the messages for one client", () => {
  it("are the list of them, whatever they are made of, and take the memory that they say", () => {
    for (let seed = 0; seed < count(100, 30); seed++) {
      const random = makeRandom(seed)
      const direct = new DirectMessages<Message>(random.below(5) === 0 ? undefined : texts)
      const list: Array<Message & { readonly position: number; readonly taken: number }> = []
      // Of some clients, all texts have a byte for each character.
      const alphabets = random.below(3) === 0 ? ALPHABETS : ALPHABETS.slice(0, 1)
      let position = 0
      for (let step = 0; step < 300; step++) {
        const label = `seed ${seed}, step ${step}`
        if (random.below(10) < (step % 100 < 60 ? 7 : 2)) {
          const text = textOf(random, alphabets)
          const message = { text, memory: memoryOf(text.length), isMore: random.below(10) === 0 }
          position += 1 + random.below(3)
          const taken = direct.add(position, message)
          assert.isAtLeast(taken, message.memory, label)
          list.push({ ...message, position, taken })
        } else {
          const upTo = position - random.below(12)
          const dropped = list.filter((message) => message.position <= upTo)
          assert.strictEqual(direct.countUpTo(upTo), dropped.length, label)
          list.splice(0, dropped.length)
          const freed = dropped.reduce((bytes, { taken }) => bytes + taken, 0)
          assert.strictEqual(direct.dropFirst(dropped.length), freed, label)
        }
        assert.strictEqual(direct.count, list.length, label)
        assert.strictEqual(
          direct.memory,
          list.reduce((bytes, { taken }) => bytes + taken, 0),
          label
        )
        assert.deepStrictEqual(
          direct.toArray(),
          list.map(({ isMore, memory, text }) => ({ text, memory, isMore })),
          label
        )
        for (const [index, message] of list.entries()) assert.strictEqual(direct.positionAt(index), message.position)
      }
    }
  })
})

describe("texts in memory", () => {
  it("are the same bytes where there is no native function", () => {
    for (let seed = 0; seed < 30; seed++) {
      const random = makeRandom(seed)
      const text = textOf(random)
      const native = makeUtf8(3 * text.length + 7)
      const plain = new Uint8Array(3 * text.length + 7)
      const size = writeUtf8(native, text, 7)
      assert.strictEqual(writeUtf8(plain, text, 7), size)
      assert.deepStrictEqual(Array.from(plain.subarray(7, 7 + size)), Array.from(native.subarray(7, 7 + size)))
      assert.strictEqual(isPlain(text), size === text.length)
      if (!isPlain(text)) continue
      for (const bytes of [makeUtf8(size), new Uint8Array(size)]) {
        writePlain(bytes, text, 0)
        assert.deepStrictEqual(Array.from(bytes), Array.from(native.subarray(7, 7 + size)))
      }
    }
  })
})
