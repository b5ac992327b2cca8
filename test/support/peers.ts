/**
 * Peers that come from the operating system, and runtimes that come from npm. In CI a missing one fails the run. On a user's machine its tests are skipped, and a line at
 * the end of the run says what to install (see `MissingPeers.ts`). `WITHOUT_PEERS=Chromium,Firefox` runs as if these were missing.
 */
import { execFileSync } from "node:child_process"
import { existsSync, globSync } from "node:fs"

import { isCi } from "./extent.ts"
import { isInstalled } from "./runtimePrograms.ts"

const runs = (command: string, ...args: ReadonlyArray<string>): boolean => {
  try {
    execFileSync(command, args, { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

export const python = "/usr/bin/python3"

export const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync)

export const firefox = ["/usr/bin/firefox-esr", "/usr/bin/firefox"].find(existsSync)

/** WebKit without Safari: the driver, the browser that it drives, and the display that this one needs. */
export const webKit = {
  driver: "/usr/bin/WebKitWebDriver",
  browser: globSync("/usr/lib/*/webkit2gtk-4.*/MiniBrowser").toSorted().at(-1),
  display: "/usr/bin/Xvfb"
}

/** Packages put it there; `sbin` is not on every user's path. */
export const nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].find(existsSync)

export const redisServer = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].find(existsSync)

export const redisCli = ["/usr/bin/redis-cli", "/usr/local/bin/redis-cli"].find(existsSync)

interface Source {
  readonly isHere: () => boolean
  /** Debian's packages that bring it. */
  readonly packages: string
  /** Another command that brings it. */
  readonly command?: string
}

/** Runtimes are dependencies of the development. Their programs come with scripts of their packages. */
const NPM = "npm install"

const sources = {
  Chromium: { isHere: () => chromium !== undefined, packages: "chromium" },
  Firefox: { isHere: () => firefox !== undefined, packages: "firefox-esr" },
  WebKit: {
    isHere: () => existsSync(webKit.driver) && webKit.browser !== undefined && existsSync(webKit.display),
    packages: "webkit2gtk-driver xvfb"
  },
  nginx: { isHere: () => nginx !== undefined, packages: "nginx-light" },
  Redis: { isHere: () => redisServer !== undefined && redisCli !== undefined, packages: "redis-server" },
  "python-socketio": {
    isHere: () => runs(python, "-c", "import socketio, requests, websocket, aiohttp"),
    packages: "python3-socketio python3-requests python3-websocket python3-aiohttp"
  },
  "Node 22": { isHere: () => isInstalled("node22"), packages: "", command: NPM },
  "Node 24": { isHere: () => isInstalled("node24"), packages: "", command: NPM },
  "Node 26": { isHere: () => isInstalled("node26"), packages: "", command: NPM },
  Bun: { isHere: () => isInstalled("bun"), packages: "", command: NPM },
  Deno: { isHere: () => isInstalled("deno"), packages: "", command: NPM },
  "network namespaces": {
    isHere: () => runs("ip", "-V") && runs("unshare", "--version"),
    packages: "iproute2 util-linux"
  }
} satisfies Record<string, Source>

export type Peer = keyof typeof sources

/** Why tests are skipped, for the line at the end. */
export interface Missing {
  readonly peer: string
  /** The package to install; nothing where that does not help. */
  readonly packages: string
  readonly command?: string
}

declare module "vitest" {
  interface TaskMeta {
    missing?: Missing
  }
}

/** A kernel may refuse processes a network of their own, which no package mends. */
const isRefused = (peer: Peer): boolean =>
  peer === "network namespaces" &&
  !runs("unshare", "--user", "--map-root-user", "--net", "ip", "link", "add", "type", "veth")

const without = new Set((process.env["WITHOUT_PEERS"] ?? "").split(","))

const find = (peer: Peer): Missing | undefined => {
  const { command, isHere, packages }: Source = sources[peer]
  if (without.has(peer) || !isHere()) {
    if (isCi) throw new Error(`${peer} is missing: ${command ?? `apt-get install ${packages}`}`)
    return { peer, packages, ...(command === undefined ? {} : { command }) }
  }
  return isRefused(peer) ? { peer, packages: "" } : undefined
}

/** The options of a suite that needs a peer: it is skipped where the peer is missing. */
export const requires = (peer: Peer): { readonly skip: boolean; readonly meta: { readonly missing?: Missing } } => {
  const missing = find(peer)
  return missing === undefined ? { skip: false, meta: {} } : { skip: true, meta: { missing } }
}
