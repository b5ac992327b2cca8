/**
 * The test application in a process of its own, one of several behind a proxy: it prints its port, and ends with its
 * standard input, so that it does not outlive the tests.
 */
import * as ReferenceServer from "./ReferenceServer.ts"
import * as TestServer from "./TestServer.ts"

const { start } = process.env.SOCKETIO_TARGET === "reference" ? ReferenceServer : TestServer

const { port } = await start()
process.stdin.on("end", () => process.exit()).resume()
console.log(port)
