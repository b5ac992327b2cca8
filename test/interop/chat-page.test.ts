import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type { Page } from "puppeteer-core"

import { launchChromium, type TestBrowser } from "../support/browser.ts"
import { runExample, type RunningExample } from "../support/examples.ts"
import { hasChromium } from "../support/peers.ts"

describe.runIf(hasChromium())("the chat page in Chromium", () => {
  let chat: RunningExample
  let browser: TestBrowser

  beforeAll(async () => {
    chat = await runExample("chat/server.ts")
    browser = await launchChromium()
  })

  afterAll(async () => {
    await browser?.close()
    await chat?.stop()
  })

  const enter = async (name: string): Promise<Page> => {
    const page = await browser.open(chat.url)
    await page.type("#name", name)
    await page.click("#join button")
    await page.waitForSelector("#say:not([hidden])")
    return page
  }

  const say = async (page: Page, text: string) => {
    await page.type("#text", text)
    await page.click("#say button")
  }

  /** Waits until a line of the page has the text. */
  const sees = (page: Page, text: string) =>
    page.waitForFunction(
      (text) =>
        Array.from(document.querySelectorAll("#messages li"), (line) => line.textContent).some((line) =>
          line?.includes(text)
        ),
      { timeout: 10_000 },
      text
    )

  it("carries messages between two tabs, tells who is there, and who comes and goes", async () => {
    const ada = await enter("Ada")
    const bob = await enter("Bob")
    await sees(ada, "Bob has joined")
    assert.strictEqual(await bob.$eval("#people", (people) => people.textContent), "Ada, Bob")

    await say(ada, "Hello <b>Bob</b> \u{1f600}")
    await sees(bob, "Hello <b>Bob</b> \u{1f600}")
    await sees(ada, "Hello <b>Bob</b> \u{1f600}")
    assert.strictEqual(await bob.$eval(".said .from", (from) => from.textContent), "Ada")
    await say(bob, "Hello Ada")
    await sees(ada, "Hello Ada")

    await bob.close()
    await sees(ada, "Bob has left")
    await ada.close()
    assert.deepStrictEqual(browser.errors, [])
  })

  it("says that a name is taken", async () => {
    const ada = await enter("Ada")
    const impostor = await browser.open(chat.url)
    await impostor.type("#name", "Ada")
    await impostor.click("#join button")
    await impostor.waitForFunction(() => document.querySelector("#problem")?.textContent === "That name is taken.", {
      timeout: 10_000
    })
    await ada.close()
    await impostor.close()
  })

  it("logs who comes and goes, with id and namespace", async () => {
    const page = await enter("Cleo")
    await chat.printed(/is called Cleo .*sid.*\/chat|is called Cleo[^]*sid/)
    await page.close()
    await chat.printed(/disconnected: transport close/)
    assert.match(chat.output(), /connected over (polling|websocket)/)
    assert.match(chat.output(), /namespace.*\/chat/)
  })
})
