/**
 * The official Admin UI in Chromium, as this library serves it, against this library.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import type { Page } from "puppeteer-core"

import * as Admin from "../../src/admin/Admin.ts"
import type { AdminOptions } from "../../src/admin/AdminOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { launchChromium, type TestBrowser } from "../support/browser.ts"
import { requires } from "../support/peers.ts"
import { connect, next, serve } from "../support/serve.ts"

const auth = Admin.basic({ username: "ada", password: Redacted.make("a long passphrase") })

const Chat = Layer.merge(
  SocketIoServer.layerNamespace(
    "/",
    Effect.fnUntraced(function* (socket) {
      yield* socket.join("lobby")
      yield* socket.on("say", (text) => socket.emit("said", text))
      yield* socket.on("enter", (room) => socket.join(String(room)))
      yield* socket.on("rename", (name) => socket.setData({ name }))
    })
  ),
  SocketIoServer.layerNamespace("/news", () => Effect.void)
)

const start = (options: Partial<AdminOptions> = {}) =>
  serve(Layer.merge(Chat, Layer.orDie(Admin.layer({ auth, mode: "development", ...options }))))

describe("the official Admin UI in Chromium", requires("Chromium"), () => {
  let browser: TestBrowser

  beforeAll(async () => {
    browser = await launchChromium()
  }, 60_000)

  afterAll(() => browser?.close())

  const open = (url: string) =>
    Effect.acquireRelease(
      Effect.promise(() => browser.open(`${url}/socket.io-admin`)),
      (page) => Effect.promise(() => page.close())
    )

  /** Fills the form of the login, and sends it. */
  const logIn = (page: Page, url: string, password = "a long passphrase") =>
    Effect.promise(async () => {
      await page.waitForSelector("form input", { visible: true })
      const [server, username, secret] = await page.$$("form input")
      for (const [field, text] of [
        [server!, url],
        [username!, "ada"],
        [secret!, password]
      ] as const) {
        await field.click({ count: 3 })
        await field.type(text)
      }
      await page.keyboard.press("Enter")
    })

  const textOf = (page: Page) => page.evaluate(() => document.body.innerText.replaceAll(/\s+/g, " "))

  /** Waits until the page shows a text. */
  const shows = (page: Page, text: string, timeout = 10_000) =>
    Effect.promise(() =>
      page
        .waitForFunction((text) => document.body.innerText.replaceAll(/\s+/g, " ").includes(text), { timeout }, text)
        .catch(async () => assert.fail(`no "${text}" in: ${await textOf(page)}`))
    )

  /**
   * Does something until the page shows it within a second. It is shown each time. On a busy machine
   * the browser may be slow now and then.
   */
  const soon = <E, R>(page: Page, act: (n: number) => Effect.Effect<string, E, R>) =>
    Effect.gen(function* () {
      for (let n = 0; n < 5; n++) {
        const text = yield* act(n)
        const since = performance.now()
        yield* shows(page, text)
        if (performance.now() - since < 1_000) return
      }
      assert.fail("never within a second")
    })

  const view = (page: Page, name: string) =>
    Effect.promise(() => page.evaluate((to) => void (location.hash = to), `#/${name}`))

  const disconnectButtons = (page: Page) =>
    page.$$eval("button .mdi-logout", (icons) =>
      icons.map((icon) => (icon.closest("button")!.disabled ? "grey" : "live"))
    )

  /** The page's own switch, the last one of its menu. */
  const toggleReadonly = (page: Page) =>
    Effect.promise(() =>
      page.$$eval(".v-navigation-drawer input[role=switch]", (switches) =>
        (switches.at(-1) as HTMLInputElement).click()
      )
    )

  const isThere = (page: Page, selector: string) =>
    Effect.promise(() =>
      page.waitForFunction((selector) => document.querySelector(selector) !== null, { timeout: 10_000 }, selector)
    )

  it.live(
    "refuses a wrong password, takes the right one, and comes back without it",
    () =>
      Effect.gen(function* () {
        const { url } = yield* start()
        const page = yield* open(url)
        yield* logIn(page, url, "a wrong passphrase")
        yield* shows(page, "Invalid credentials")
        yield* logIn(page, url)
        yield* shows(page, "HEALTHY 1 100.0 %")
        yield* Effect.promise(() => page.reload())
        yield* shows(page, "HEALTHY 1 100.0 %")
        assert.deepStrictEqual(yield* Effect.promise(() => page.$$("form input")), [])
      }),
    60_000
  )

  it.live(
    "shows the numbers that the server has",
    () =>
      Effect.gen(function* () {
        const { server, url } = yield* start({ mode: "production", serverId: "the one and only" })
        const { connectionCount } = Context.get(server, SocketIoServer.SocketIoServer)
        yield* connect(url, { transports: ["websocket"] })
        yield* connect(`${url}/news`, { transports: ["websocket"] })
        yield* connect(url, { transports: ["polling"] })
        const page = yield* open(url)
        yield* logIn(page, url)
        yield* shows(page, "HEALTHY 1 100.0 %")
        // The page's own connection is among them.
        assert.strictEqual(yield* connectionCount, 4)
        yield* shows(page, "WebSocket 3 75.0 % HTTP long-polling 1 25.0 %")
        for (const row of ["/ 2", "/news 1", "/admin 1"]) yield* shows(page, row)
        yield* view(page, "servers/")
        yield* shows(page, "the one and only")
        // Single sockets are not shown in production.
        assert.notInclude(yield* Effect.promise(() => textOf(page)), "Rooms")
      }),
    60_000
  )

  it.live(
    "shows sockets, rooms and events within a second",
    () =>
      Effect.gen(function* () {
        const { url } = yield* start()
        const early = yield* connect(url, { transports: ["websocket"] })
        const page = yield* open(url)
        yield* logIn(page, url)
        yield* shows(page, "HEALTHY 1 100.0 %")
        yield* view(page, "sockets/")
        yield* shows(page, early.id!)
        const late = yield* connect(url, { transports: ["websocket"] })
        yield* soon(page, () => Effect.map(connect(url, { transports: ["websocket"] }), ({ id }) => id!))
        const left = early.id!
        early.disconnect()
        yield* Effect.promise(() => page.waitForFunction((id) => !document.body.innerText.includes(id), {}, left))
        yield* view(page, "rooms/")
        yield* shows(page, "lobby")
        const emits = (act: (n: number) => readonly [event: string, ...args: ReadonlyArray<string>]) => (n: number) =>
          Effect.sync(() => {
            const event = act(n)
            late.emit(...event)
            return event.at(-1)!
          })
        yield* soon(
          page,
          emits((n) => ["enter", `room-${n}`])
        )
        yield* view(page, "events/")
        yield* soon(
          page,
          emits((n) => [`event-${n}`])
        )
        late.emit("say", "hello")
        yield* shows(page, "said")
        const text = yield* Effect.promise(() => textOf(page))
        for (const part of ["Event received", "say", "Event sent", "Room: room-0", late.id!]) assert.include(text, part)
      }),
    60_000
  )

  it.live(
    "disconnects a client by its button, which the page greys when it is told to be read-only",
    () =>
      Effect.gen(function* () {
        const { url } = yield* start({ readonly: false })
        const socket = yield* connect(`${url}/`, { transports: ["websocket"] })
        const page = yield* open(url)
        yield* logIn(page, url)
        yield* shows(page, "HEALTHY 1 100.0 %")
        yield* view(page, "sockets/")
        yield* shows(page, socket.id!)
        assert.deepStrictEqual(yield* Effect.promise(() => disconnectButtons(page)), ["live"])
        yield* toggleReadonly(page)
        yield* isThere(page, "button:disabled .mdi-logout")
        yield* toggleReadonly(page)
        yield* isThere(page, "button:enabled .mdi-logout")
        const left = next(socket, "disconnect")
        yield* Effect.promise(() =>
          page.$eval("button .mdi-logout", (icon) => (icon.closest("button") as HTMLButtonElement).click())
        )
        assert.strictEqual((yield* left)[0], "io server disconnect")
      }),
    60_000
  )

  it.live(
    "has no buttons where the server is read-only",
    () =>
      Effect.gen(function* () {
        const { url } = yield* start()
        const socket = yield* connect(`${url}/`, { transports: ["websocket"] })
        const page = yield* open(url)
        yield* logIn(page, url)
        yield* shows(page, "HEALTHY 1 100.0 %")
        yield* view(page, "sockets/")
        yield* shows(page, socket.id!)
        assert.deepStrictEqual(yield* Effect.promise(() => disconnectButtons(page)), [])
      }),
    60_000
  )
})
