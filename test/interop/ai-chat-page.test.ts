/**
 * The pages of the chat with a model, in Chromium: the AI SDK's chat with the official client, and this library's client.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "puppeteer-core"

import { launchChromium, type TestBrowser } from "../support/browser.ts"
import { runExample, type RunningExample } from "../support/examples.ts"
import { isFull } from "../support/extent.ts"
import { faultyProxy } from "../support/FaultyProxy.ts"
import { requires } from "../support/peers.ts"

const words = Array.from({ length: 40 }, (_, i) => `word${i}`).join(" ")

/** A page that is not in front draws nothing, so it is not asked when it draws. */
const PATIENCE = { timeout: 20_000, polling: 50 }

/** Waits until the page has so many words of an answer. */
const has = (page: Page, count: number) =>
  page.waitForFunction(
    (count) => {
      const answer = document.querySelector("#messages [data-role=assistant]:last-child")?.textContent ?? ""
      return answer.split(" ").filter(Boolean).length >= count
    },
    PATIENCE,
    count
  )

const answerOf = (page: Page) =>
  page.$eval("#messages [data-role=assistant]:last-child", (line) => line.textContent?.trim())

const isIdle = (page: Page) =>
  page.waitForFunction(() => document.querySelector("[data-busy=false][data-connected=true]") !== null, PATIENCE)

const ask = async (page: Page, text: string) => {
  await isIdle(page)
  await page.type("#prompt", text)
  await page.click("#ask button")
}

describe("the pages of the chat with a model", requires("Chromium"), () => {
  let example: RunningExample
  let browser: TestBrowser

  beforeAll(async () => {
    // The second page must open while the answer is under way.
    example = await runExample("ai-chat/server.ts", { PAUSE: "100" })
    browser = await launchChromium()
  })

  afterAll(async () => {
    await browser?.close()
    await example?.stop()
  })

  for (const [first, second] of [
    ["/", "/official/"],
    ["/official/", "/"]
  ] as const) {
    if (first !== "/" && !isFull) continue
    it.live(`show an answer word for word after a cut, and so does one that is opened later (${first})`, () =>
      Effect.gen(function* () {
        const proxy = yield* faultyProxy(example.url)
        const chat = `#${crypto.randomUUID()}`
        yield* Effect.promise(async () => {
          const one = await browser.open(`${proxy.url}${first}${chat}`)
          await ask(one, words)
          await has(one, 8)
          proxy.reset()
          const two = await browser.open(`${example.url}${second}${chat}`)
          await has(one, 40)
          await has(two, 40)
          assert.strictEqual(await answerOf(one), words)
          assert.strictEqual(await answerOf(two), words)
          await isIdle(one)
          await isIdle(two)
        })
      })
    )
  }

  it("stop an answer that another page has begun", async () => {
    const chat = `#${crypto.randomUUID()}`
    const one = await browser.open(`${example.url}/${chat}`)
    await ask(one, words)
    await has(one, 5)
    const two = await browser.open(`${example.url}/official/${chat}`)
    await has(two, 6)
    await two.click("#stop")
    await isIdle(one)
    await isIdle(two)
    assert.isTrue(words.startsWith((await answerOf(one))!))
    assert.isBelow((await answerOf(one))!.length, words.length)
  })
})
