/**
 * The three browser engines behind one small interface: pages whose functions are called, and whose promises are awaited.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { type Browser, launch } from "puppeteer-core"

import { chromium, firefox, webKit } from "./peers.ts"
import { within } from "./RawClient.ts"

export interface EnginePage {
  /** Calls a function among the page's globals, with arguments that are JSON; gives its promise's value, which is JSON too. */
  readonly call: (name: string, ...args: ReadonlyArray<unknown>) => Promise<any>
  /** Goes to another page of the same site, and back as its user would. */
  readonly visit: (url: string) => Promise<void>
  readonly close: () => Promise<void>
}

export interface BrowserEngine {
  /** A page in a tab of its own. In WebKit a call waits for those before, also for those to other pages. */
  readonly open: (url: string) => Promise<EnginePage>
  readonly close: () => Promise<void>
}

const puppeteered = (browser: Browser, cleanUp: () => void = () => {}): BrowserEngine => ({
  open: async (url) => {
    const context = await browser.createBrowserContext()
    const page = await context.newPage()
    await page.goto(url)
    return {
      call: (name, ...args) =>
        page.evaluate((name, args) => (globalThis as any)[name](...args) as Promise<unknown>, name, args),
      visit: async (other) => {
        await page.goto(other)
        await page.goBack()
      },
      close: () => context.close()
    }
  },
  close: async () => {
    await browser.close()
    cleanUp()
  }
})

const launchChromium = async (): Promise<BrowserEngine> => {
  const profile = mkdtempSync(join(tmpdir(), "chromium-"))
  const browser = await launch({
    executablePath: chromium!,
    userDataDir: profile,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-first-run"]
  })
  return puppeteered(browser, () => rmSync(profile, { recursive: true, force: true }))
}

const launchFirefox = async (): Promise<BrowserEngine> =>
  puppeteered(await launch({ browser: "firefox", executablePath: firefox! }))

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

const ended = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once("exit", () => resolve()))

const end = async (child: ChildProcess): Promise<void> => {
  child.kill()
  await ended(child)
}

/** A display without a screen; it says its number when it is ready. */
const startDisplay = async (): Promise<{ readonly name: string; readonly process: ChildProcess }> => {
  const process = spawn(webKit.display, ["-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp"], {
    stdio: ["ignore", "pipe", "ignore"]
  })
  const name = await within(
    "display of Xvfb",
    new Promise<string>((resolve, reject) => {
      let printed = ""
      process.stdout.on("data", (chunk: Buffer) => {
        printed += String(chunk)
        if (printed.endsWith("\n")) resolve(`:${printed.trim()}`)
      })
      process.once("error", reject)
      process.once("exit", (code) => reject(new Error(`Xvfb has ended with ${code}`)))
    })
  )
  return { name, process }
}

/** A call of W3C WebDriver; throws what the driver complains of. */
const webDriver =
  (base: string) =>
  async (method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<any> => {
    const response = await fetch(`${base}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    const { value } = (await response.json()) as { readonly value: any }
    if (!response.ok) throw new Error(`WebDriver, ${path}: ${value?.error}: ${value?.message}`)
    return value
  }

/** Runs what a page has among its globals; what it rejects with comes back as an error. */
const CALL = `
const [name, args, done] = arguments
Promise.resolve().then(() => globalThis[name](...args)).then((value) => done({ value }), (error) => done({ error: String(error) }))
`

const launchWebKit = async (): Promise<BrowserEngine> => {
  const display = await startDisplay()
  const port = await freePort()
  const driver = spawn(webKit.driver, [`--port=${port}`, "--host=127.0.0.1"], {
    env: { ...process.env, DISPLAY: display.name, GDK_BACKEND: "x11" },
    stdio: "ignore"
  })
  const command = webDriver(`http://127.0.0.1:${port}`)
  const close = async () => {
    await end(driver)
    await end(display.process)
  }
  try {
    await within(
      "WebKitWebDriver",
      (async () => {
        while (driver.exitCode === null) {
          const ready = await command("GET", "/status").catch(() => undefined)
          if (ready !== undefined) return
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
        throw new Error(`WebKitWebDriver has ended with ${driver.exitCode}`)
      })()
    )
    const options = { binary: webKit.browser, args: ["--automation"] }
    const { sessionId } = await command("POST", "/session", {
      capabilities: { alwaysMatch: { "webkitgtk:browserOptions": options } }
    })
    const session = `/session/${sessionId}`
    let turn: Promise<unknown> = Promise.resolve()
    /** Does something in a tab: the driver knows one at a time. */
    const inTab = <A>(handle: string, use: () => Promise<A>): Promise<A> => {
      const result = turn.then(async () => {
        await command("POST", `${session}/window`, { handle })
        return use()
      })
      turn = result.catch(() => {})
      return result
    }
    // The first one stays: the session ends with the last.
    const first: string = await command("GET", `${session}/window`)
    return {
      open: async (url) => {
        const { handle } = await inTab(first, () => command("POST", `${session}/window/new`, { type: "tab" }))
        await inTab(handle, () => command("POST", `${session}/url`, { url }))
        return {
          call: (name, ...args) =>
            inTab(handle, async () => {
              const result = await command("POST", `${session}/execute/async`, { script: CALL, args: [name, args] })
              if ("error" in result) throw new Error(result.error)
              return result.value
            }),
          visit: (other) =>
            inTab(handle, async () => {
              await command("POST", `${session}/url`, { url: other })
              await command("POST", `${session}/back`, {})
            }),
          close: () => inTab(handle, () => command("DELETE", `${session}/window`))
        }
      },
      close: async () => {
        await command("DELETE", session).catch(() => {})
        await close()
      }
    }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Every engine: how it is launched, and whether it has a back/forward cache while it is driven (Firefox has
 * none, and where it is told to have one its driver waits for ever for the page).
 */
export const engines = {
  Chromium: { launch: launchChromium, restores: true },
  Firefox: { launch: launchFirefox, restores: false },
  WebKit: { launch: launchWebKit, restores: true }
} as const
