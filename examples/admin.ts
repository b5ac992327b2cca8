/**
 * The official Admin UI beside a small chat: numbers, sockets, rooms and events in a page, and
 * buttons that disconnect clients.
 *
 *     npx node examples/admin.ts
 *     ADMIN_PASSWORD='a long passphrase' PORT=8080 npx node examples/admin.ts
 *
 * Open http://localhost:3000/socket.io-admin/ and log in: the server URL is http://localhost:3000, the
 * username `admin`, and the log shows the password if you have not set one. Then connect a client, in
 * `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     io("http://localhost:3000").emit("say", "hello")
 *
 * A supervisor asks http://localhost:3000/livez, and a balancer http://localhost:3000/readyz.
 */
import { randomBytes } from "node:crypto"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Redacted } from "effect"
import { Admin } from "effect-socket.io/admin"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { Health, SocketIoServer } from "effect-socket.io/server"

const ChatLive = SocketIoServer.layerNamespace(
  "/",
  Effect.fnUntraced(function* (socket) {
    yield* socket.join("lobby")
    yield* socket.on("say", (text) => socket.to("lobby").emit("say", text))
  })
)

/** A password of one run, if none is set. */
const password = Config.Redacted("ADMIN_PASSWORD").pipe(
  Config.option,
  Effect.flatMap((set) => {
    if (set._tag === "Some") return Effect.succeed(set.value)
    const made = randomBytes(9).toString("base64url")
    return Effect.as(Effect.logInfo(`Log in as admin, with the password ${made}`), Redacted.make(made))
  })
)

/** In production: `mode: "production"`, which is the default, as is `readonly: true`. */
const AdminLive = Layer.unwrap(
  Effect.map(password, (password) =>
    Admin.layer({ auth: Admin.basic({ username: "admin", password }), mode: "development", readonly: false })
  )
)

const Main = NodeSocketIoServer.serve(Layer.mergeAll(ChatLive, AdminLive, Health.layerHealth()), {
  port: Number(process.env.PORT ?? 3000)
})

NodeRuntime.runMain(Layer.launch(Main))
