/**
 * AsyncAPI documents and JSON Schemas of contracts, and a page that shows them: for clients in
 * other languages, and for the people who write them.
 *
 * No other module imports this one: `import * as AsyncApi from "effect-socket.io/AsyncApi"`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { JsonSchema } from "effect/JsonSchema"
import type * as Layer from "effect/Layer"

import type { Document, Options } from "./AsyncApiDocument.ts"
import { makeDocument, namespaceSchemas } from "./internal/asyncApiDocument.ts"
import { makePage } from "./internal/asyncApiPage.ts"
import type * as Namespace from "./Namespace.ts"

export type {
  Channel,
  Document,
  Message,
  Operation,
  Options,
  RateLimit,
  Reference,
  SecurityScheme,
  Server,
  ServerOptions
} from "./AsyncApiDocument.ts"

/**
 * Returns the AsyncAPI document of contracts, as JSON.
 *
 * Throws if two contracts have the same name, and on an example that does not fit its schema.
 *
 * **Details**
 *
 * | contract | AsyncAPI 3 |
 * |---|---|
 * | namespace | channel; the address is its name, `/document/{id}` for a dynamic one |
 * | event of clients, of the server | operation `receive`, `send` with a message of its name |
 * | payload | the list of the arguments on the wire, as JSON Schema draft 7 |
 * | `ack`, `error` | the operation's `reply`, a message `<…>.ack`: the list of the acknowledgement's arguments |
 * | `auth`, also of middlewares | `x-socket.io.auth` of the channel; a security scheme for a field such as `token` |
 * | rate limit, concurrency, `once`, `recover: false` | `x-socket.io` of the message |
 * | `Binary.Bytes` | a schema `{ "x-socket.io": "binary" }` without a type; `{ "$bytes": base64 }` in examples |
 *
 * Events between servers, and the data of sockets, are not part of it: clients do not see them.
 *
 * **Example** (A file for a generator)
 *
 * ```ts
 * const document = AsyncApi.fromNamespaces([Chat], { title: "Chat", version: "1.0.0" })
 * writeFileSync("asyncapi.json", JSON.stringify(document, undefined, 2))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromNamespaces = (namespaces: ReadonlyArray<Namespace.Any>, options: Options): Document =>
  makeDocument(namespaces, options)

/**
 * Returns the JSON Schemas (draft 7) of a contract's values on the wire: `auth`, `params.<name>`,
 * and for each event `receive.<event>` or `send.<event>`, with `.ack` and `.error`. Each one has
 * its own definitions.
 *
 * **Details**
 *
 * An event with several arguments has the schema of their list, an event with one argument has its
 * schema, an event without any has none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const jsonSchemas = (namespace: Namespace.Any): Readonly<Record<string, JsonSchema>> =>
  namespaceSchemas(namespace)

/**
 * The options of {@link layerHttp}.
 *
 * - `namespaces`: the contracts.
 * - `path`: the path of the page; the document is at `{path}.json`. Default: `/asyncapi`.
 * - `socketPath`: the path of the Socket.IO server. Default: `/socket.io`.
 * - `client`: the address of the official client's browser build, for trying events. Default: the
 *   file that the Node server serves at its own path where `socket.io-client` is installed.
 *
 * @since 0.1.0
 * @category options
 */
export interface HttpOptions extends Options {
  readonly namespaces: ReadonlyArray<Namespace.Any>
  readonly path?: HttpRouter.PathInput
  readonly socketPath?: string
  readonly client?: string
}

/**
 * Serves the document of contracts as `{path}.json`, and a page at `{path}` that shows it: events
 * by namespace and direction, their schemas and examples, and a form that sends them with the
 * official client.
 *
 * Building the layer dies as {@link fromNamespaces} throws. The document is made once.
 *
 * **Details**
 *
 * The page is one file of less than 15 KB. It shows every text of the contracts as text, and its
 * Content-Security-Policy allows no script but its own and the client.
 *
 * **Gotchas**
 *
 * Everybody who reaches the route may read the document. Put the layer below a middleware of the
 * router, or leave it out, where contracts are not public.
 *
 * **Example** (Beside a server)
 *
 * ```ts
 * const Docs = AsyncApi.layerHttp({ namespaces: [Chat], title: "Chat", version: "1.0.0" })
 *
 * const Main = Layer.mergeAll(ChatLive, HttpRouter.serve(Docs)).pipe(
 *   Layer.provide(NodeSocketIoHttp.layer({ port: 3000 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttp = (options: HttpOptions): Layer.Layer<never, never, HttpRouter.HttpRouter> =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const { namespaces, path = "/asyncapi", title } = options
      const socketPath = (options.socketPath ?? "/socket.io").replace(/\/+$/, "")
      const client = options.client ?? `${socketPath}/socket.io.min.js`
      const document = JSON.stringify(fromNamespaces(namespaces, options))
      const { html, policy } = yield* Effect.promise(() => makePage(title, { socketPath, client }))
      // The document is that of the running server: caches have to ask for it.
      const headers = { "cache-control": "no-cache", "x-content-type-options": "nosniff" }
      yield* router.add(
        "GET",
        path,
        HttpServerResponse.text(html, {
          contentType: "text/html; charset=utf-8",
          headers: { ...headers, "content-security-policy": policy, "referrer-policy": "no-referrer" }
        })
      )
      yield* router.add(
        "GET",
        `${path}.json` as HttpRouter.PathInput,
        HttpServerResponse.text(document, { contentType: "application/json", headers })
      )
    })
  )
