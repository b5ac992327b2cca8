import type { Document, Message } from "../AsyncApiDocument.ts"

/** The data that the server gives to the page of a document. */
export interface PageConfig {
  /** The path of the Socket.IO server, without the slash at its end. */
  readonly socketPath: string
  /** The address of the official client's browser build. */
  readonly client: string
}

interface Schema {
  readonly [keyword: string]: any
}

interface Socket {
  readonly connected: boolean
  readonly on: (event: string, listener: (...args: Array<any>) => void) => void
  readonly onAny: (listener: (...args: Array<any>) => void) => void
  readonly emit: (event: string, ...args: ReadonlyArray<unknown>) => void
  readonly timeout: (millis: number) => {
    emitWithAck: (event: string, ...args: ReadonlyArray<unknown>) => Promise<any>
  }
  readonly disconnect: () => void
}

type Child = Node | string

/* oxlint-disable unicorn/consistent-function-scoping -- The text of the function runs elsewhere, so all is within it. */

/**
 * The script of the page that shows a document. It runs in a browser: its own text is sent, so it
 * uses nothing of this module. All texts become text nodes, and never HTML.
 */
export const script = async (): Promise<void> => {
  const byId = (id: string) => document.getElementById(id)!
  const el = (tag: string, className: string, ...children: ReadonlyArray<Child>): HTMLElement => {
    const element = document.createElement(tag)
    if (className) element.className = className
    element.append(...children)
    return element
  }
  const config: PageConfig = JSON.parse(byId("config").textContent!)
  const response = await fetch(location.pathname.replace(/\/+$/, "") + ".json")
  const doc: Document = await response.json()
  const refKey = (ref: string) => decodeURIComponent(ref.split("/").at(-1)!)
  const schemas = doc.components.schemas as Record<string, Schema>

  // ------------------------------------------------------------ schemas as text

  const fieldsOf = (schema: Schema, indent: string): Array<Child> => {
    const out: Array<Child> = []
    const add = (key: string, type: Schema | boolean, note?: string) => {
      if (note) out.push(indent, el("i", "", `// ${note.replaceAll("\n", " ")}`), "\n")
      out.push(indent, `${key}: `, ...typeOf(type, `${indent}  `), "\n")
    }
    for (const [name, type] of Object.entries<Schema>(schema["properties"] ?? {})) {
      const key = /^[\w$]+$/.test(name) ? name : JSON.stringify(name)
      add(schema["required"]?.includes(name) ? key : `${key}?`, type, type["description"])
    }
    for (const [pattern, type] of Object.entries<any>(schema["patternProperties"] ?? {})) add(`[/${pattern}/]`, type)
    if (typeof schema["additionalProperties"] === "object") add("[key: string]", schema["additionalProperties"])
    return out.length === 0 ? ["{}"] : ["{\n", ...out, indent.slice(2), "}"]
  }
  const join = (types: ReadonlyArray<Schema | boolean>, separator: string, indent: string): Array<Child> =>
    types.flatMap((type, i) => [i === 0 ? "" : separator, ...typeOf(type, indent)])
  const BOUNDS: Record<string, string> = {
    minimum: "≥",
    maximum: "≤",
    exclusiveMinimum: ">",
    exclusiveMaximum: "<",
    multipleOf: "multiple of",
    minLength: "length ≥",
    maxLength: "length ≤",
    minItems: "items ≥",
    maxItems: "items ≤",
    pattern: "matches",
    format: "format"
  }
  /** A schema in the notation of TypeScript, with links to the shared ones. */
  const typeOf = (schema: Schema | boolean, indent = "  "): Array<Child> => {
    if (typeof schema === "boolean") return [schema ? "unknown" : "never"]
    if (schema["$ref"]) {
      const link = el("a", "", refKey(schema["$ref"])) as HTMLAnchorElement
      link.href = `#schema-${refKey(schema["$ref"])}`
      return [link]
    }
    if (schema["x-socket.io"] === "binary") return ["bytes"]
    const union = schema["anyOf"] ?? schema["oneOf"]
    if (union) return join(union, " | ", indent)
    if ("const" in schema) return [JSON.stringify(schema["const"])]
    if (schema["enum"]) return [schema["enum"].map((value: unknown) => JSON.stringify(value)).join(" | ")]
    const { allOf = [], items, type } = schema as { allOf?: Array<Schema>; items?: any; type?: string }
    const isList = Array.isArray(items)
    const out: Array<Child> = []
    if (type === "object") out.push(...fieldsOf(schema, indent))
    else if (type !== "array") out.push(type ?? (allOf.length > 0 ? "" : "unknown"))
    else if (isList) out.push("[", ...join(items, ", ", indent), "]")
    else if (schema["maxItems"] === 0) out.push("[]")
    else out.push("Array<", ...typeOf(items ?? true, indent), ">")
    if (allOf.length > 0) out.push(type ? " & " : "", ...join(allOf, " & ", indent))
    const notes = Object.keys(BOUNDS)
      .filter((key) => key in schema && !isList && Math.abs(schema[key]) !== Number.MAX_SAFE_INTEGER)
      .map((key) => `${BOUNDS[key]} ${schema[key]}`)
    return notes.length === 0 ? out : [...out, el("i", "", ` /* ${notes.join(", ")} */`)]
  }
  /** A value that has the form of a schema, to begin with. */
  const sample = (schema: Schema | boolean, depth = 0): any => {
    if (typeof schema === "boolean" || depth > 8) return null
    if (schema["$ref"]) return sample(schemas[refKey(schema["$ref"])] ?? {}, depth + 1)
    if (schema["examples"]) return schema["examples"][0]
    if ("default" in schema) return schema["default"]
    if ("const" in schema) return schema["const"]
    if (schema["enum"]) return schema["enum"][0]
    const union = schema["anyOf"] ?? schema["oneOf"]
    if (union) return sample(union[0], depth + 1)
    if (schema["x-socket.io"] === "binary") return { $bytes: "" }
    if (schema["allOf"]) return Object.assign({}, ...schema["allOf"].map((each: Schema) => sample(each, depth + 1)))
    const { items } = schema
    if (Array.isArray(items)) return items.map((each) => sample(each, depth + 1))
    if (schema["type"] === "array") return schema["minItems"] ? [sample(items ?? {}, depth + 1)] : []
    if (schema["type"] === "object") {
      const required: Array<string> = schema["required"] ?? []
      return Object.fromEntries(required.map((name) => [name, sample(schema["properties"][name], depth + 1)]))
    }
    const least = schema["minimum"] ?? schema["exclusiveMinimum"] + 1
    const zeros: Record<string, unknown> = { string: "", boolean: false, null: null }
    return schema["type"] in zeros ? zeros[schema["type"]] : least > -1e15 ? least : 0
  }

  // ------------------------------------------------------------ values as text

  const toText = (value: unknown): string =>
    JSON.stringify(
      value,
      (_key, value) => {
        if (!(value instanceof ArrayBuffer)) return value
        return { $bytes: btoa(Array.from(new Uint8Array(value), (byte) => String.fromCharCode(byte)).join("")) }
      },
      2
    ) ?? ""
  const fromText = (text: string): any =>
    JSON.parse(text, (_key, value) =>
      typeof value?.$bytes === "string" ? Uint8Array.from(atob(value.$bytes), (char) => char.charCodeAt(0)) : value
    )

  // ------------------------------------------------------------ connections

  type Connect = (url: string, options: object) => Socket
  let loading: Promise<Connect> | undefined
  const loadClient = () =>
    (loading ??= new Promise((resolve, reject) => {
      const element = document.createElement("script")
      element.src = config.client
      element.addEventListener("load", () => resolve((window as unknown as { readonly io: Connect }).io))
      element.addEventListener("error", () => {
        loading = undefined
        reject(new Error(`the official client is not there: ${config.client}`))
      })
      document.head.append(element)
    }))
  const box = (text: string, label: string): HTMLTextAreaElement => {
    const area = document.createElement("textarea")
    area.value = text
    area.rows = Math.min(12, text.split("\n").length)
    area.spellcheck = false
    area.setAttribute("aria-label", label)
    return area
  }
  const button = (text: string, onClick: () => unknown): HTMLElement => {
    const element = el("button", "", text)
    element.addEventListener("click", onClick)
    return element
  }
  const input = (value: string, label: string): [HTMLInputElement, HTMLElement] => {
    const field = document.createElement("input")
    field.value = value
    return [field, el("label", "", `${label} `, field)]
  }
  const [first] = Object.values(doc.servers ?? {})
  const there = first && `${first.protocol === "wss" ? "https" : "http"}://${first.host}`
  const [server, serverLabel] = input(location.origin, "Server")
  if (there && there !== location.origin) serverLabel.append(` documented: ${there}`)

  const showChannel = (id: string, channel: Document["channels"][string]): HTMLElement => {
    const extension = channel["x-socket.io"]
    const name = extension.namespace
    const section = el("section", "", el("h2", extension.deprecated ? "old" : "", name))
    section.id = id
    const status = el("output", "", "not connected")
    const log = el("ol", "log")
    const answers = new Map<string, HTMLTextAreaElement>()
    const write = (text: string) => {
      log.prepend(el("li", "", text))
      if (log.childElementCount > 100) log.lastChild!.remove()
    }
    const auth = extension.auth && box(toText(extension.authExamples?.[0] ?? sample(extension.auth)), `auth of ${name}`)
    const parameters = new Map<string, HTMLInputElement>()
    const labels: Array<HTMLElement> = []
    for (const [key, { enum: values, examples }] of Object.entries(channel.parameters ?? {})) {
      const [field, label] = input((examples ?? values ?? [""])[0]!, key)
      parameters.set(key, field)
      labels.push(label)
    }
    const [regular, regularLabel] = input("", "Name")
    let socket: Socket | undefined
    const connect = async (): Promise<Socket> => {
      if (socket?.connected) return socket
      socket?.disconnect()
      status.textContent = "connecting …"
      try {
        const io = await loadClient()
        const target =
          channel.address?.replaceAll(/\{(\w+)\}/g, (_, key) => parameters.get(key)!.value) ?? regular.value
        const options = {
          path: `${config.socketPath}/`,
          forceNew: true,
          reconnection: false,
          auth: auth ? fromText(auth.value) : {}
        }
        const opened = (socket = io(server.value.replace(/\/+$/, "") + target, options))
        opened.onAny((event, ...args) => {
          const callback = args.at(-1)
          if (typeof callback === "function") {
            args.pop()
            const answer = answers.get(event)
            if (answer) callback(...fromText(answer.value))
          }
          write(`${event} ${toText(args)}`)
        })
        opened.on("disconnect", (reason) => (status.textContent = `disconnected: ${reason}`))
        await new Promise<void>((resolve, reject) => {
          opened.on("connect", resolve)
          opened.on("connect_error", (error) =>
            reject(new Error(error.message + (error.data === undefined ? "" : ` ${toText(error.data)}`)))
          )
        })
        status.textContent = "connected"
        return opened
      } catch (error) {
        socket?.disconnect()
        status.textContent = (error as Error).message
        throw error
      }
    }
    const disconnect = () => {
      socket?.disconnect()
      status.textContent = "not connected"
    }
    const description = channel.description ?? ""
    section.append(el("p", "text", description))
    if (auth) section.append(el("h4", "", "Auth payload"), el("pre", "", ...typeOf(extension.auth as Schema)), auth)
    section.append(...labels)
    if (channel.address === null) section.append(regularLabel)
    // A refusal is on the page already.
    const connecting = button("Connect", () => connect().catch(() => {}))
    section.append(el("p", "", connecting, button("Disconnect", disconnect), status))

    const showEvent = (message: Message, direction: "receive" | "send", answer: Message | undefined): HTMLElement => {
      const { rateLimit, concurrency, once, recover } = message["x-socket.io"] ?? {}
      const summary = el("summary", "", el("b", message.deprecated ? "old" : "", message.name))
      for (const badge of [
        message.deprecated && "deprecated",
        answer && "acknowledged",
        rateLimit && `${rateLimit.limit} per ${rateLimit.interval} ms`,
        concurrency && `${concurrency} at once`,
        once && `handled once by an id, ${once.id}`,
        recover === false && "not recovered"
      ]) {
        if (badge) summary.append(" ", el("small", "", badge))
      }
      const details = el("details", direction, summary, el("p", "text", message.description ?? ""))
      details.append(el("h4", "", "Arguments"), el("pre", "", ...typeOf(message.payload)))
      if (answer) details.append(el("h4", "", "Acknowledgement"), el("pre", "", ...typeOf(answer.payload)))
      for (const { payload } of message.examples ?? []) {
        details.append(el("h4", "", "Example"), el("pre", "", toText(payload)))
      }
      if (direction === "send") {
        if (!answer) return details
        const area = box(toText(sample(answer.payload)), `answer to ${message.name}`)
        answers.set(message.name, area)
        details.append(el("h4", "", "Answer of this page"), area)
        return details
      }
      const area = box(
        toText(message.examples?.[0]?.payload ?? sample(message.payload)),
        `arguments of ${message.name}`
      )
      const result = el("pre", "result")
      const send = async () => {
        result.textContent = ""
        try {
          const args: Array<unknown> = fromText(area.value)
          const opened = await connect()
          if (answer)
            result.textContent =
              toText(await opened.timeout(10_000).emitWithAck(message.name, ...args)) || "acknowledged"
          else {
            opened.emit(message.name, ...args)
            result.textContent = "sent"
          }
        } catch (error) {
          result.textContent = String(error)
        }
      }
      details.append(el("h4", "", "Try it: a list of arguments"), area, button("Send", send), result)
      return details
    }
    const messageAt = (ref: { readonly $ref: string }) => channel.messages[refKey(ref.$ref)]!
    const operations = Object.values(doc.operations).filter((operation) => refKey(operation.channel.$ref) === id)
    for (const [direction, title] of [
      ["receive", "Clients send"],
      ["send", "The server sends"]
    ] as const) {
      const own = operations.filter(({ action }) => action === direction)
      if (own.length > 0) section.append(el("h3", "", title))
      for (const { messages, reply } of own) {
        section.append(showEvent(messageAt(messages[0]!), direction, reply && messageAt(reply.messages[0]!)))
      }
    }
    if (extension.untyped) section.append(el("p", "", "Any event, with any arguments."))
    section.append(el("h3", "", "Received"), log)
    return section
  }

  const main = byId("main")
  const { description = "", title, version } = doc.info
  document.title = title
  const links = Object.entries(doc.channels).map(([id, channel]) => {
    const link = el("a", "", channel["x-socket.io"].namespace) as HTMLAnchorElement
    link.href = `#${id}`
    return link
  })
  main.replaceChildren(
    el("h1", "", title, " ", el("small", "", version)),
    el("p", "text", description),
    el("p", "", serverLabel),
    el("nav", "", ...links),
    ...Object.entries(doc.channels).map(([id, channel]) => showChannel(id, channel)),
    el(
      "section",
      "",
      el("h2", "", "Schemas"),
      ...Object.entries(schemas).map(([key, schema]) => {
        const pre = el("pre", "", el("b", "", `${key} = `), ...typeOf(schema))
        pre.id = `schema-${key}`
        return pre
      })
    )
  )
  main.dataset["ready"] = "true"
}
