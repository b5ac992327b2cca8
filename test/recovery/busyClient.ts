/**
 * An official client in a thread of its own, whose handler keeps the thread busy until the server has read a pong. It tells the
 * numbers of events and whether the pong had been read when their handlers began.
 */
import { parentPort, workerData } from "node:worker_threads"
import { io } from "socket.io-client"

const { flag, url } = workerData as { readonly flag: Int32Array; readonly url: string }
const isRead = () => Atomics.load(flag, 0) === 1

const calls: Array<readonly [n: number, isRead: boolean]> = []
const socket = io(url, { transports: ["websocket"], reconnectionDelay: 10 })
socket.on("e", (n: number) => {
  calls.push([n, isRead()])
  // Ends in any case: then the test fails.
  if (n === 1) Atomics.wait(flag, 0, 0, 15_000)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- this is no window
  if (n === 2) parentPort!.postMessage(calls)
})
