/**
 * The declarations around the examples of the docstrings: what they mean by "the chat" or "the shop", without showing it.
 */

/** Declarations that any example may use. */
export const declarations: Readonly<Record<string, string>> = {
  User: `class User extends Schema.Class<User>("User")({ id: Schema.String, name: Schema.String }) {}`,
  CurrentUser: `class CurrentUser extends Context.Service<CurrentUser, User>()("CurrentUser") {}`,
  RoomFull: `class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { capacity: Schema.Int }) {}`,
  Authentication: `class Authentication extends NamespaceMiddleware.Service<Authentication>()("app/Authentication", {
  provides: CurrentUser,
  auth: Schema.Struct({ token: Schema.String })
}) {}`,
  Join: `const Join = Event.make("join", { payload: { room: Schema.String }, ack: Schema.Int, error: RoomFull })`,
  Say: `const Say = Event.make("say", { payload: Schema.String })`,
  ChatMessage: `class ChatMessage extends Schema.Class<ChatMessage>("ChatMessage")({ room: Schema.String, text: Schema.String }) {}`,
  Chat: `class Chat extends Namespace.make("/chat", {
  clientToServer: [Join, Say],
  serverToClient: [
    Event.make("message", { payload: ChatMessage }),
    Event.make("said", { payload: Schema.String }),
    Event.make("alive", { ack: Schema.Boolean })
  ]
}) {}`,
  Online: `class Online extends Presence.Service<Online>()("app/Online", {
  meta: Schema.Struct({ status: Schema.Literals(["active", "away"]) })
}) {}`,
  Rpcs: `class Rpcs extends RpcGroup.make(
  Rpc.make("Greeting", { success: Schema.String }),
  Rpc.make("Tokens", { payload: { prompt: Schema.String }, success: Schema.String, stream: true })
) {}`,
  ChatLive: `declare const ChatLive: Layer.Layer<never, never, SocketIoServer.SocketIoServer>`,
  NewsLive: `declare const NewsLive: Layer.Layer<never, never, SocketIoServer.SocketIoServer>`,
  ShopLive: `declare const ShopLive: Layer.Layer<never, never, SocketIoServer.SocketIoServer>`,
  RedisLive: `declare const RedisLive: Layer.Layer<RedisClient.RedisClient>`,
  RpcsLive: `declare const RpcsLive: Layer.Layer<Rpc.ToHandler<RpcGroup.Rpcs<typeof Rpcs>>>`,
  chat: `declare const chat: ClientSocket.ClientSocket<typeof Chat>`,
  socket: `declare const socket: ServerSocket.ServerSocket<Namespace.Untyped>`,
  scenario: `declare const scenario: Effect.Effect<void>`,
  show: `declare const show: (value: unknown) => Effect.Effect<void>`,
  token: `declare const token: string`
}

const answers = `import * as StreamEvent from "effect-socket.io/StreamEvent"
class Chat extends Namespace.make("/chat").add(
  StreamEvent.make("answer", {
    payload: { chat: Schema.String, prompt: Schema.String },
    item: Schema.String,
    key: ({ chat }) => chat
  })
) {}`

const market = `class Market extends Namespace.make("/market", {
  serverToClient: [Event.make("price", { payload: { symbol: Schema.String, price: Schema.Finite } })]
}) {}
declare const market: NamespaceHandle.NamespaceHandle<typeof Market>`

const handle = `declare const chat: NamespaceHandle.NamespaceHandle<typeof Chat>`

/** Declarations of one example, by its title. */
export const contexts: Readonly<Record<string, string>> = {
  "Sending a file of a page": `class Files extends Namespace.make("/files", {
  clientToServer: [Event.make("upload", { payload: { name: Schema.String, content: Binary.Bytes }, ack: Schema.Int })]
}) {}
declare const chat: ClientSocket.ClientSocket<typeof Files>`,
  "The three forms of a payload": `class Title extends Context.Service<Title, string>()("Title") {}`,
  "A page on the official client": `declare const showFull: (capacity: number) => void
declare const showProblem: (tag: string) => void`,
  "An answer that the official client has received": `const socket = io("/chat")`,
  "A chat for signed-in clients": `class Presence extends Namespace.make("/presence") {}`,
  "A namespace for every document": `const Edit = Event.make("edit", { payload: Schema.String })
const Edited = Event.make("edited", { payload: Schema.String })`,
  "A token that says itself when it ends": `declare const verify: (
  token: string
) => Effect.Effect<{ sub: string; name: string; exp: number }, NamespaceMiddleware.ConnectRefused>`,
  "A namespace for signed-in users, with declared events or without": `declare const lookup: (
  token: string
) => Effect.Effect<User, NamespaceMiddleware.ConnectRefused>`,
  "Connecting with a token": `class Chat extends Namespace.make("/chat", { auth: Schema.Struct({ token: Schema.String }) }) {}`,
  "An official server of the contract": `import type { Server as HttpServer } from "node:http"
declare const httpServer: HttpServer`,
  "The message of a chat, as a page gets it": `class ChatMessage extends Schema.Class<ChatMessage>("ChatMessage")({
  text: Schema.String,
  at: Schema.DateFromString
}) {}`,
  "Asking again after an outage": `declare const showHint: (text?: string) => Effect.Effect<void>`,
  "The sockets of the servers that answer": handle,
  "Answers of a model, one at a time for each chat": `const User = Schema.Struct({ user: Schema.String })
class ModelFailed extends Schema.TaggedError<ModelFailed>()("ModelFailed", {}) {}
declare const askModel: (prompt: string) => Stream.Stream<string, ModelFailed>`,
  "The last hundred messages": `declare const chat: SocketIoAtom.SocketIoAtom<typeof Chat>`,
  "A user who has to sign in": `declare const askToSignIn: (
  message: string,
  data: unknown
) => Effect.Effect<never>`,
  "Orders that are not lost, and not made twice": `class Shop extends Namespace.make("/shop", {
  clientToServer: [Event.make("order", { payload: { article: Schema.String }, ack: Schema.Int })]
}) {}
declare const shop: ClientSocket.ClientSocket<typeof Shop>`,
  "An order that counts once, however often the client sends it": `import type { Socket } from "socket.io-client"
class Shop extends Namespace.make("/shop", {
  clientToServer: [
    Event.make("order", { payload: { article: Schema.String }, ack: Schema.Int, once: {} })
  ]
}) {}
type ShopSocket = Socket<Official.ListenEvents<typeof Shop>, Official.EmitEvents<typeof Shop>>`,
  "A page that was loaded again": `${answers}
declare const saved: { readonly stream: string; readonly count: number }`,
  "An answer, word for word": answers,
  "Another tab reads the answer, too": answers,
  "Adding a transport": `interface WebTransportSession {}`,
  "An order that exists once": `import { SqlClient } from "effect/sql"
interface Order { readonly article: string }
declare const sql: SqlClient.SqlClient`,
  "Answers in the application's database": `import { SqlClient } from "effect/sql"
declare const SqlLive: Layer.Layer<SqlClient.SqlClient>`,
  "Middleware of Express for the request that opens a session": `import type { RequestHandler } from "express"
import { ServerResponse } from "node:http"
declare module "node:http" { interface IncomingMessage { session: { user: string } } }
declare const session: (request: unknown, response: ServerResponse, next: () => void) => void`,
  "Beside Express": `import express from "express"
import { createServer } from "node:http"`,
  "The official client, with the reducers of `phoenix`": `const socket = io("/chat")`,
  "A namespace with its presence": `class Chat extends Namespace.make("/chat", {
  auth: Schema.Struct({ name: Schema.String }),
  clientToServer: [Event.make("status", { payload: Schema.Literals(["active", "away"]) })],
  serverToClient: [...Presence.events(Online)]
}) {}`,
  "The keys in a room, as they come and leave": `class Chat extends Namespace.make("/chat", {
  serverToClient: [...Presence.events(Online)]
}) {}`,
  "Calls and events in one namespace": `class Chat extends Namespace.make("/chat", {
  clientToServer: [Say],
  serverToClient: [Event.make("said", { payload: Schema.String })]
}) {}`,
  "Prices for the members of a room": `${market}
declare const prices: Stream.Stream<{ readonly symbol: string; readonly price: number }>`,
  "Publishes prices, and reads what is published": `${market}
declare const record: (price: unknown) => Effect.Effect<void>`,
  "The members of a room, as far as the servers answer": handle,
  "Two namespaces of one client": `class Admin extends Namespace.make("/admin", {
  clientToServer: [Event.make("announce", { payload: Schema.String })]
}) {}
class Chat extends Namespace.make("/chat", { serverToClient: [Event.make("notice", { payload: Schema.String })] }) {}`,
  "A log of one exchange": `declare const exchange: (socket: unknown) => Effect.Effect<void>`,
  "Rooms that the user may not read any more": `class Members extends Context.Service<Members, { readonly rooms: ReadonlyArray<string> }>()("Members") {}
class Auth extends NamespaceMiddleware.Service<Auth>()("Auth", {
  provides: Members,
  refresh: { event: "renew", same: () => true }
}) {}
class Desk extends Namespace.make("/desk").middleware(Auth) {}
declare const socket: ServerSocket.ServerSocket<typeof Desk>`,
  "An edge of your own": `declare const listen: (edge: {
  readonly onRequest: (exchange: EngineRequest.HttpExchange) => void
  readonly onUpgrade: EngineServer.EngineServer["handleUpgrade"]
}) => Effect.Effect<void>`,
  "A test of a service that broadcasts": `class Shop extends Namespace.make("/shop", {
  serverToClient: [Event.make("shipped", { payload: Schema.String })]
}) {}
class Orders extends Context.Service<Orders, { readonly ship: (id: string) => Effect.Effect<void> }>()("Orders") {
  declare static readonly layer: Layer.Layer<Orders, never, SocketIoServer.SocketIoServer>
}`,
  "Two builders of one namespace": `interface Message { readonly room: string; readonly text: string }
class Chat extends Namespace.make("/chat", {
  clientToServer: [
    Event.make("enter", { payload: Schema.String }),
    Event.make("say", { payload: { room: Schema.String, text: Schema.String } })
  ],
  serverToClient: [Event.make("say", { payload: { room: Schema.String, text: Schema.String } })]
}) {}`,
  "A namespace for each document": `const Edit = Schema.Struct({ at: Schema.Int, text: Schema.String })
interface Open {
  readonly save: Effect.Effect<void>
  readonly apply: (edit: typeof Edit.Type) => Effect.Effect<void>
}
class Documents extends Context.Service<Documents, {
  readonly open: (id: string) => Effect.Effect<Open, "not found">
}>()("Documents") {}`,
  "Not ready until the cache is warm": `declare const warmUp: Effect.Effect<void>`,
  "Beside an application of Hono": `declare const app: { readonly fetch: (request: Request) => Response }
declare const Bun: { readonly serve: (options: object) => void }`,
  "A server in Deno": `declare const Deno: {
  readonly upgradeWebSocket: (request: Request) => { readonly socket: WebSocket; readonly response: Response }
  readonly serve: (
    handler: (request: Request, info: { readonly remoteAddr: { readonly hostname: string } }) => Response | Promise<Response>
  ) => void
}`
}
