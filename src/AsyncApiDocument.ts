/**
 * The types of AsyncAPI documents, as `AsyncApi` makes them.
 *
 * @since 0.1.0
 */
import type { JsonSchema } from "effect/JsonSchema"

/**
 * A server of a document. `url` is the address of the Socket.IO server, such as
 * `https://chat.example.com`; its path is `/socket.io` if the URL has none.
 *
 * @since 0.1.0
 * @category options
 */
export interface ServerOptions {
  readonly url: string
  readonly description?: string
}

/**
 * The parts of a document that contracts do not have.
 *
 * - `title`, `version`, `description`: those of the application.
 * - `servers`: its servers, by name. Default: none.
 * - `specification`: the version of AsyncAPI. Default: 3.1.0.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  readonly title: string
  readonly version: string
  readonly description?: string
  readonly servers?: Readonly<Record<string, ServerOptions>>
  readonly specification?: "3.0.0" | "3.1.0"
}

/**
 * A reference to another part of the document.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reference {
  readonly $ref: string
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Server {
  readonly host: string
  readonly pathname: string
  readonly protocol: "ws" | "wss"
  readonly description?: string
}

/**
 * The rate limit of an event, with its defaults filled in; `interval` is in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateLimit {
  readonly limit: number
  readonly interval: number
  readonly burst: number
  readonly onExceeded: "refuse" | "disconnect"
}

/**
 * An event, or an acknowledgement: `payload` is the schema of the list of its arguments.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly name: string
  readonly title: string
  readonly description?: string
  readonly deprecated?: true
  readonly contentType: "application/json"
  readonly payload: JsonSchema
  readonly examples?: ReadonlyArray<{ readonly name: string; readonly payload: unknown }>
  readonly "x-socket.io"?: {
    readonly rateLimit?: RateLimit
    /** The number of handlers of this event that run at once for one socket. */
    readonly concurrency?: number
    /**
     * The server handles a message once. Its id is the attribute `id`, in an object that the client
     * sends after the arguments, or part of the payload. `window` is in milliseconds.
     */
    readonly once?: { readonly id: "attribute" | "payload"; readonly window: number }
    /** Clients that have missed this event do not get it later. */
    readonly recover?: false
  }
}

/**
 * A namespace. The address of a dynamic one has parameters, such as `/document/{id}`. It is `null`
 * if a regular expression takes the place of a name.
 *
 * @since 0.1.0
 * @category models
 */
export interface Channel {
  readonly address: string | null
  readonly title: string
  readonly description?: string
  readonly messages: Readonly<Record<string, Message>>
  readonly parameters?: Readonly<
    Record<
      string,
      {
        readonly description?: string
        readonly enum?: ReadonlyArray<string>
        readonly examples?: ReadonlyArray<string>
      }
    >
  >
  readonly "x-socket.io": {
    readonly namespace: string
    /** Any event may come and go, with any arguments. */
    readonly untyped?: true
    readonly deprecated?: true
    /** The auth payload that clients send with CONNECT: of the contract and of its middlewares. */
    readonly auth?: JsonSchema
    readonly authExamples?: ReadonlyArray<unknown>
    /** The `data` of refusals with CONNECT_ERROR that middlewares declare. */
    readonly refusals?: ReadonlyArray<JsonSchema>
  }
}

/**
 * The use of a message: the server receives it, or sends it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Operation {
  readonly action: "receive" | "send"
  readonly channel: Reference
  readonly messages: ReadonlyArray<Reference>
  readonly reply?: { readonly channel: Reference; readonly messages: ReadonlyArray<Reference> }
  readonly security?: ReadonlyArray<Reference>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface SecurityScheme {
  readonly type: "apiKey"
  readonly in: "password"
  readonly description: string
}

/**
 * An AsyncAPI document. It is plain JSON.
 *
 * @since 0.1.0
 * @category models
 */
export interface Document {
  readonly asyncapi: "3.0.0" | "3.1.0"
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly defaultContentType: "application/json"
  readonly servers?: Readonly<Record<string, Server>>
  readonly channels: Readonly<Record<string, Channel>>
  readonly operations: Readonly<Record<string, Operation>>
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>
    readonly securitySchemes?: Readonly<Record<string, SecurityScheme>>
  }
}
