/**
 * The contract of the chat: the events that its clients and its server send. It imports no runtime,
 * and both sides share it. Its imports are deep, because a page's bundler keeps parts of a barrel
 * that nobody uses.
 */
import * as Schema from "effect/Schema"
import * as Event from "effect-socket.io/Event"
import * as Namespace from "effect-socket.io/Namespace"
import * as Presence from "effect-socket.io/presence/Presence"
import { PresenceRefused } from "effect-socket.io/presence/PresenceModel"

export class User extends Schema.Class<User>("chat/User")({
  id: Schema.String,
  name: Schema.String
}) {}

export class ChatMessage extends Schema.Class<ChatMessage>("chat/ChatMessage")({
  from: User,
  text: Schema.String,
  at: Schema.Date
}) {}

export class NameTaken extends Schema.TaggedError<NameTaken>()("NameTaken", { name: Schema.String }) {
  override get message(): string {
    return `somebody is called ${this.name} already`
  }
}

/** Those who are in the chat, by their names. All of them are in the room `joined`. */
export class Online extends Presence.Service<Online>()("chat/Online", {
  meta: Schema.Struct({ id: Schema.String })
}) {}

/** The client gives its name. Events tell it who is there. */
export const Join = Event.make("join", {
  payload: { name: Schema.NonEmptyString.check(Schema.isMaxLength(40)) },
  ack: Schema.Void,
  error: Schema.Union([NameTaken, PresenceRefused])
})

/** A message of the client. */
export const Say = Event.make("say", {
  payload: { text: Schema.NonEmptyString.check(Schema.isMaxLength(2_000)) }
})

/** A message of somebody, for everybody. */
export const Said = Event.make("said", { payload: ChatMessage })

export class Chat extends Namespace.make("/chat", {
  clientToServer: [Join, Say],
  serverToClient: [Said, ...Presence.events(Online)]
}) {}
