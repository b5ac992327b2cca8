/**
 * Peers that come from the operating system. In CI a missing one fails the run; on a user's machine its tests are skipped,
 * with a line that says what to install.
 */
import { execFileSync } from "node:child_process"
import { existsSync, globSync } from "node:fs"

const announced = new Set<string>()

const required = (present: boolean, what: string, packages: string): boolean => {
  if (present) return true
  if (process.env.CI !== undefined && process.env.CI !== "" && process.env.CI !== "false") {
    throw new Error(`${what} is missing: apt-get install ${packages}`)
  }
  if (!announced.has(what)) {
    announced.add(what)
    console.warn(`tests with ${what} are skipped; to run them: apt-get install ${packages}`)
  }
  return false
}

const runs = (command: string, ...args: ReadonlyArray<string>): boolean => {
  try {
    execFileSync(command, args, { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

export const python = "/usr/bin/python3"

/** Whether Debian's python-socketio is here, with what its transports need. */
export const hasPython = (): boolean =>
  required(
    runs(python, "-c", "import socketio, requests, websocket, aiohttp"),
    "python3-socketio",
    "python3-socketio python3-requests python3-websocket python3-aiohttp"
  )

export const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync)

export const hasChromium = (): boolean => required(chromium !== undefined, "Chromium", "chromium")

export const firefox = ["/usr/bin/firefox-esr", "/usr/bin/firefox"].find(existsSync)

export const hasFirefox = (): boolean => required(firefox !== undefined, "Firefox", "firefox-esr")

/** WebKit without Safari: the driver, the browser that it drives, and the display that this one needs. */
export const webKit = {
  driver: "/usr/bin/WebKitWebDriver",
  browser: globSync("/usr/lib/*/webkit2gtk-4.*/MiniBrowser").toSorted().at(-1),
  display: "/usr/bin/Xvfb"
}

export const hasWebKit = (): boolean =>
  required(
    existsSync(webKit.driver) && webKit.browser !== undefined && existsSync(webKit.display),
    "WebKit",
    "webkit2gtk-driver xvfb"
  )

/** Where packages put it; `sbin` is not on every user's path. */
export const nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].find(existsSync)

export const hasNginx = (): boolean => required(nginx !== undefined, "nginx", "nginx-light")

/** Whether processes may have a network of their own. A kernel that does not allow it cannot be helped by a package. */
export const hasNetworkNamespaces = (): boolean => {
  if (!required(runs("ip", "-V") && runs("unshare", "--version"), "network namespaces", "iproute2 util-linux"))
    return false
  if (runs("unshare", "--user", "--map-root-user", "--net", "ip", "link", "add", "type", "veth")) return true
  console.warn("tests with network namespaces are skipped: this system does not allow them")
  return false
}
