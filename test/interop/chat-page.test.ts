import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type { Page } from "puppeteer-core"

import { launchChromium, type TestBrowser } from "../support/browser.ts"
import { runExample, type RunningExample } from "../support/examples.ts"
import { rows } from "../support/extent.ts"
import { requires } from "../support/peers.ts"

const clients = [
  ["this library's client", "/"],
  ["the official client", "/official/"]
] as const

describe("the chat page in Chromium", requires("Chromium"), () => {
  let chat: RunningExample
  let browser: TestBrowser

  beforeAll(async () => {
    chat = await runExample("chat/server.ts", { DEBUG: "socket.io:connection" })
    browser = await launchChromium()
  })

  afterAll(async () => {
    await browser?.close()
    await chat?.stop()
  })

  const join = async (page: Page, name: string) => {
    await page.locator("#name").fill(name)
    await page.click("#join button")
  }

  /** After an outage that takes as long as the pauses between attempts. */
  const isInside = (page: Page) => page.waitForSelector("[data-place=inside] #text", { visible: true, timeout: 20_000 })

  const isAway = (page: Page) =>
    page.waitForSelector("[data-place=away] #text:enabled", { visible: true, timeout: 10_000 })

  const enter = async (name: string, path = "/"): Promise<Page> => {
    const page = await browser.open(chat.url + path)
    await join(page, name)
    await isInside(page)
    return page
  }

  /** Waits until an element's text is this one. */
  const shows = (page: Page, selector: string, text: string) =>
    page.waitForFunction(
      (selector, text) => document.querySelector(selector)?.textContent === text,
      { timeout: 10_000 },
      selector,
      text
    )

  const textOf = (page: Page, selector: string) => page.$eval(selector, (element) => element.textContent)

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

  for (const [client, path] of rows(clients, ([, path]) => path === "/official/")) {
    it(`says that a name is taken, and lets in who has another one, with ${client}`, async () => {
      const ada = await enter("Ada")
      const impostor = await browser.open(chat.url + path)
      await join(impostor, "Ada")
      await shows(impostor, "#problem", "That name is taken.")
      await join(impostor, "Eve")
      await sees(ada, "Eve has joined")
      await shows(impostor, "#people", "Ada, Eve")
      await ada.close()
      await impostor.close()
    })

    it(`lets visitors leave, and come again under another name, with ${client}`, async () => {
      const ada = await enter("Ada")
      const bob = await enter("Bob", path)
      // Somebody who comes and leaves in between is not told.
      await sees(ada, "Bob has joined")
      await say(bob, "Bye")
      await sees(ada, "Bye")
      await bob.click("#leave")
      await sees(ada, "Bob has left")
      await shows(bob, "#status", "not connected")
      assert.deepStrictEqual(await bob.$$eval("#messages li", (lines) => lines.length), 0)
      await join(bob, "Robert")
      await sees(ada, "Robert has joined")
      await shows(ada, "#people", "Ada, Robert")
      await say(ada, "Welcome")
      await sees(bob, "Welcome")
      await ada.close()
      await bob.close()
    })
  }

  it("fits on a phone", async () => {
    const page = await browser.open(chat.url)
    await page.setViewport({ width: 360, height: 640 })
    await join(page, "Ada")
    await isInside(page)
    await say(page, "x".repeat(300))
    await sees(page, "xxx")
    const { button, height, width } = await page.evaluate(() => ({
      width: document.documentElement.scrollWidth,
      height: document.documentElement.scrollHeight,
      button: document.querySelector("#say button")!.getBoundingClientRect().bottom
    }))
    assert.strictEqual(width, 360)
    assert.strictEqual(height, 640)
    assert.isAtMost(button, 640)
    await page.close()
  })

  it("logs who comes and goes, with id and namespace", async () => {
    const page = await enter("Cleo")
    await chat.printed(/is called Cleo .*sid.*\/chat|is called Cleo[^]*sid/)
    await page.close()
    await chat.printed(/disconnected: transport close/)
    assert.match(chat.output(), /connected over (polling|websocket)/)
    assert.match(chat.output(), /namespace.*\/chat/)
  })

  for (const [name, how, leave] of [
    ["Dora", "is closed", (page: Page) => page.close()],
    ["Emil", "goes elsewhere", (page: Page) => page.goto("about:blank")]
  ] as const) {
    it(`leaves no connection behind when it ${how}`, async () => {
      const before = chat.output().length
      const page = await enter(name)
      await leave(page)
      await chat.printed(new RegExp(`is called ${name}[^]*disconnected: transport close`))
      assert.strictEqual(
        chat
          .output()
          .slice(before)
          .match(/connection opened/g)?.length,
        1
      )
      await page.close().catch(() => {})
    })
  }

  it("says in plain words that it is not connected, and joins again by itself when the server is back", async () => {
    const ada = await enter("Ada")
    const bob = await enter("Bob", "/official/")
    const { port } = new URL(chat.url)
    await chat.stop()
    for (const page of [ada, bob]) {
      await isAway(page)
      assert.strictEqual(await textOf(page, "#status"), "The chat cannot be reached. Trying again…")
    }
    chat = await runExample("chat/server.ts", { PORT: port })
    await isInside(ada)
    await isInside(bob)
    await shows(ada, "#status", "connected")
    await say(bob, "Still here?")
    await sees(ada, "Still here?")
    await say(ada, "Yes")
    await sees(bob, "Yes")
    await ada.close()
    await bob.close()
  })

  for (const [client, path] of rows(clients, ([, path]) => path === "/")) {
    it(`takes messages while it is offline, and sends them once when it is back, with ${client}`, async () => {
      const ada = await enter("Ada", path)
      const bob = await enter("Bob")
      await say(ada, "before")
      await sees(bob, "before")
      // A browser that is told to be offline keeps the WebSockets that are open.
      const { port } = new URL(chat.url)
      await ada.setOfflineMode(true)
      await chat.stop()
      await isAway(ada)
      assert.strictEqual(await textOf(ada, "#status"), "You are offline. Waiting for the network…")
      await say(ada, "one")
      await say(ada, "two")
      await sees(ada, "two")
      const lines = (page: Page, selector: string) =>
        page.$$eval(selector, (found) => found.map(({ textContent }) => textContent))
      assert.deepStrictEqual(await lines(ada, ".waiting .text"), ["one", "two"])
      chat = await runExample("chat/server.ts", { PORT: port })
      await isInside(bob)
      await ada.setOfflineMode(false)
      await isInside(ada)
      await sees(bob, "two")
      await ada.waitForFunction(() => document.querySelectorAll(".own").length === 3, { timeout: 10_000 })
      assert.deepStrictEqual(await lines(ada, ".waiting"), [])
      assert.deepStrictEqual(await lines(bob, ".said .text"), ["before", "one", "two"])
      assert.deepStrictEqual(await lines(ada, ".own .text"), ["before", "one", "two"])
      await ada.close()
      await bob.close()
    })
  }

  it("waits for a server that is not there yet", async () => {
    const page = await browser.open(chat.url)
    const { port } = new URL(chat.url)
    await chat.stop()
    await join(page, "Ada")
    await shows(page, "#status", "The chat cannot be reached. Trying again…")
    chat = await runExample("chat/server.ts", { PORT: port })
    await isInside(page)
    await page.close()
  })
})
