/**
 * nginx in front of test servers, as a process of its own.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, type Scope } from "effect"

import { nginx } from "./peers.ts"
import { request, within } from "./RawClient.ts"

export interface NginxConfig {
  /** Directives beside the server: `upstream` and `map`. */
  readonly http?: string
  /** Directives of the server: its locations. */
  readonly server: string
  /** The connections that it may have at once, to clients and servers together. Default: 512. */
  readonly connections?: number
}

export interface RunningNginx {
  readonly url: string
  /** The error log, with what happened to connections. */
  readonly log: () => string
  stop(): Promise<void>
}

/**
 * One worker, which takes turns between servers strictly, below a master in the foreground, which ends it when it ends. (One
 * process alone does not survive a socket that it is given.) Paths are below the folder that it is started in, also those of
 * modules that nobody uses: their folders are made all the same.
 */
const configuration = (port: number, { connections = 512, http = "", server }: NginxConfig) => `
daemon off;
worker_processes 1;
${process.getuid?.() === 0 ? "user root; # nobody else may enter the folder" : ""}
pid nginx.pid;
error_log stderr info;
worker_rlimit_nofile ${connections + 100};
events { worker_connections ${connections}; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  ${http}
  server {
    listen 127.0.0.1:${port};
    location = /ready { return 204; }
    ${server}
  }
}
`

/** Starts nginx on a free port, and waits until it answers. */
export const startNginx = async (config: NginxConfig): Promise<RunningNginx> => {
  const folder = mkdtempSync(join(tmpdir(), "nginx-"))
  // It cannot say which port it got for port 0, and a port that was free a moment ago may be taken. So it is given a socket
  // that listens already: it takes over those that this variable lists by their numbers, as it does when it upgrades itself.
  const listener = createServer()
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject)
    listener.listen(0, "127.0.0.1", resolve)
  })
  const { port } = listener.address() as AddressInfo
  const { fd } = (listener as unknown as { readonly _handle: { readonly fd: number } })._handle
  writeFileSync(join(folder, "nginx.conf"), configuration(port, config))
  const child = spawn(nginx!, ["-p", folder, "-c", "nginx.conf"], {
    env: { ...process.env, NGINX: "3;" },
    stdio: ["ignore", "ignore", "pipe", fd]
  })
  let log = ""
  child.stderr!.on("data", (chunk: Buffer) => {
    log += chunk
  })
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    child.kill()
    await within("end of nginx", closed)
    rmSync(folder, { recursive: true, force: true })
  }
  // From now on nobody else accepts: connections wait for nginx, or are refused when it has ended.
  await new Promise((resolve) => listener.close(resolve))
  try {
    await request(`${url}/ready`)
  } catch (cause) {
    await stop()
    throw new Error(`nginx has not started: ${log}${configuration(port, config)}`, { cause })
  }
  return { url, log: () => log, stop }
}

/** nginx until the scope closes; gives its address. Of a test that fails, its log is printed. */
export const proxy = (config: NginxConfig): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => startNginx(config)),
    (running, exit) =>
      Effect.promise(async () => {
        await running.stop()
        if (Exit.isFailure(exit)) console.error(`the log of nginx:\n${running.log()}`)
      })
  ).pipe(Effect.map(({ url }) => url))
