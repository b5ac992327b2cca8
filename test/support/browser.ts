/**
 * A headless Chromium, with everything that its pages complain about.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { launch, type Page } from "puppeteer-core"

import { chromium } from "./peers.ts"

export interface TestBrowser {
  /** A page in a window of its own. */
  readonly open: (url: string) => Promise<Page>
  /** The errors of pages. */
  readonly errors: ReadonlyArray<string>
  readonly close: () => Promise<void>
}

export const launchChromium = async (): Promise<TestBrowser> => {
  const profile = mkdtempSync(join(tmpdir(), "chromium-"))
  const browser = await launch({
    executablePath: chromium!,
    userDataDir: profile,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-sync",
      "--disable-background-networking",
      "--disable-component-update",
      "--no-first-run"
    ]
  })
  const errors: Array<string> = []
  return {
    errors,
    open: async (url) => {
      const page = await (await browser.createBrowserContext()).newPage()
      page.on("pageerror", (error) => errors.push(String(error)))
      page.on("console", (message) => {
        // Browsers ask for an icon that no test server has.
        if (message.type() === "error" && !message.location().url?.includes("favicon")) errors.push(message.text())
      })
      await page.goto(url)
      return page
    },
    close: async () => {
      await browser.close()
      rmSync(profile, { recursive: true, force: true })
    }
  }
}
