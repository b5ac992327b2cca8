import type { BroadcastPacket, EncodedBroadcast } from "../../adapter/Adapter.ts"
import { OutboundMessage } from "../../engine/OutboundMessage.ts"
import { json, type PacketParser } from "../../protocol/PacketParser.ts"
import * as PacketType from "../../protocol/PacketType.ts"
import { isProtocolError, make as makeProtocolError } from "../../protocol/ProtocolError.ts"
import type { MessageTexts } from "../../recovery/DirectMessages.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"

/**
 * A broadcast event, encoded once for all, and in its original form, for handlers of outgoing
 * events.
 */
export class EncodedEvent implements EncodedBroadcast {
  readonly shared = true
  readonly message: OutboundMessage
  readonly data: BroadcastPacket["data"]
  /** Whether clients that miss it get it later, where recovery is on. */
  readonly isRecoverable: boolean
  /** For clients that may have missed something: an offset would say that they have not. */
  readonly spoiled: OutboundMessage | undefined
  /** Makes its form with the trace context of its emitter; `undefined` if it has none. */
  makeTraced: (() => OutboundMessage) | undefined = undefined
  private traced: OutboundMessage | undefined = undefined

  constructor(
    message: OutboundMessage,
    data: BroadcastPacket["data"],
    isRecoverable = false,
    spoiled?: OutboundMessage
  ) {
    this.message = message
    this.data = data
    this.isRecoverable = isRecoverable
    this.spoiled = spoiled
  }

  /** The message for a connection. All that take the trace context share the form that has it. */
  messageFor({ isTraced }: { readonly isTraced: boolean }): OutboundMessage {
    return this.makeTraced !== undefined && isTraced ? (this.traced ??= this.makeTraced()) : this.message
  }
}

/**
 * Encodes packets as messages. Every method throws on a value that cannot be encoded.
 *
 * Only events may be dropped by an outbox: the peer waits for everything else.
 */
export class Wire {
  private readonly parser: PacketParser
  private readonly isJson: boolean
  private readonly maxAttachments: number

  constructor(parser: PacketParser, maxAttachments: number) {
    this.parser = parser
    this.isJson = parser === json
    this.maxAttachments = maxAttachments
  }

  /** An event for one client. */
  event(namespace: string, { data, mayHaveBinary }: EventData, id: number | undefined, compress: boolean) {
    const message = this.encode({ type: PacketType.EVENT, namespace, id, data }, mayHaveBinary, false)
    message.compress = compress
    return message
  }

  /** An event for many clients. */
  broadcast(
    namespace: string,
    { data, mayHaveBinary }: BroadcastPacket,
    id: number | undefined,
    compress: boolean
  ): EncodedEvent {
    const message = this.encode({ type: PacketType.EVENT, namespace, id, data }, mayHaveBinary, true)
    message.compress = compress
    return new EncodedEvent(message, data)
  }

  /** The answer to an event. */
  ack(namespace: string, id: number, data: ReadonlyArray<unknown>, mayHaveBinary: boolean): OutboundMessage {
    return this.control({ type: PacketType.ACK, namespace, id, data }, mayHaveBinary)
  }

  /** An event of this library's own, for clients that understand it. */
  controlEvent(data: ReadonlyArray<unknown>, id: number | undefined, namespace = "/"): OutboundMessage {
    return this.control({ type: PacketType.EVENT, namespace, id, data }, false)
  }

  /** Tells a client that it is in the namespace. */
  connect(namespace: string, data: unknown): OutboundMessage {
    return this.control({ type: PacketType.CONNECT, namespace, id: undefined, data }, false)
  }

  /** Tells a client that it is not admitted. */
  connectError(namespace: string, data: unknown, mayHaveBinary: boolean): OutboundMessage {
    return this.control({ type: PacketType.CONNECT_ERROR, namespace, id: undefined, data }, mayHaveBinary)
  }

  /** Tells a client that it is no longer in the namespace. */
  disconnect(namespace: string): OutboundMessage {
    return this.control({ type: PacketType.DISCONNECT, namespace, id: undefined, data: undefined }, false)
  }

  private control(packet: SocketPacket, mayHaveBinary: boolean): OutboundMessage {
    const message = this.encode(packet, mayHaveBinary, false)
    message.droppable = false
    return message
  }

  private encode(packet: SocketPacket, mayHaveBinary: boolean, shared: boolean): OutboundMessage {
    const encoded = this.parser.encode(packet, mayHaveBinary)
    if (isProtocolError(encoded)) throw encoded
    const { attachments, text } = encoded
    if (attachments !== undefined) {
      const { maxAttachments } = this
      if (!attachments.every(isBytes)) throw makeProtocolError("not encodable", "a Blob: read it first")
      // A client closes its connection on a packet with more.
      if (attachments.length > maxAttachments) {
        const problem = `${attachments.length} attachments, of which clients take ${maxAttachments}`
        throw makeProtocolError("too many attachments", problem)
      }
      // And on one with another placeholder, which may be a value that another client has sent.
      if (this.isJson && countOf(text!, PLACEHOLDER) !== attachments.length) {
        throw makeProtocolError("not encodable", "a value that looks like the place of an attachment")
      }
    }
    return new OutboundMessage(text === undefined ? undefined : "4" + text, attachments, shared)
  }
}

/** A member of an object, as JSON has it. In a string the quotes have backslashes. */
const PLACEHOLDER = '"_placeholder":true'

const countOf = (text: string, part: string): number => {
  let count = 0
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) {
    // The end of a longer key.
    if (text[at - 1] !== "\\") count++
  }
  return count
}

/** The same message, which no outbox drops: the client is told that it gets it. */
export const undroppable = ({ attachments, compress, text }: OutboundMessage): OutboundMessage => {
  const message = new OutboundMessage(text, attachments, false)
  message.compress = compress
  message.droppable = false
  return message
}

/** The events for one client that are a text and nothing else. */
export const messageTexts: MessageTexts<OutboundMessage> = {
  textOf: ({ attachments, compress, text }) => (attachments === undefined && compress ? text : undefined),
  ofText: (text) => new OutboundMessage(text, undefined, false),
  memoryOf: OutboundMessage.memoryOf
}

/** An event's name and wire arguments. */
export interface EventData {
  readonly data: ReadonlyArray<unknown>
  readonly mayHaveBinary: boolean
}

const isBytes = (attachment: Uint8Array | Blob): attachment is Uint8Array => ArrayBuffer.isView(attachment)
