/**
 * The contract and the places of what survives a crash: of the server, and of the clients that order from it.
 */
import { DatabaseSync } from "node:sqlite"
import { Effect, Schema } from "effect"
import * as KeyValueStore from "effect/persistence/KeyValueStore"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"

/** Orders of the namespace `/`: those that are handled once, and notes, which are handled each time that they come. */
export class Shop extends Namespace.make("/", {
  clientToServer: [
    Event.make("order", { payload: { n: Schema.Int }, ack: Schema.Int, once: { window: "1 hour" } }),
    // Its acknowledgement is -n, so that both can be told apart.
    Event.make("note", { payload: { n: Schema.Int }, ack: Schema.Int })
  ]
}) {}

/** Opens a database that the death of its process does not harm. */
export const openDatabase = (path: string): DatabaseSync => {
  const database = new DatabaseSync(path)
  // First of all the timeout: the change to WAL waits for other processes, too.
  database.exec("PRAGMA busy_timeout = 10000")
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
  return database
}

/** A key-value store in a table. Every write is whole, or not there. */
export const storeIn = (database: DatabaseSync, onSet: (value: string) => void = () => {}) => {
  database.exec("CREATE TABLE IF NOT EXISTS store (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
  const get = database.prepare("SELECT value FROM store WHERE key = ?")
  const set = database.prepare("INSERT OR REPLACE INTO store VALUES (?, ?)")
  const remove = database.prepare("DELETE FROM store WHERE key = ?")
  const keys = database.prepare("SELECT key FROM store")
  const allKeys = () => keys.all().map(({ key }) => String(key))
  return KeyValueStore.makeStringOnly({
    get: (key) => Effect.sync(() => get.get(key)?.["value"] as string | undefined),
    set: (key, value) =>
      Effect.sync(() => {
        database.exec("BEGIN")
        set.run(key, value)
        onSet(value)
        database.exec("COMMIT")
      }),
    remove: (key) => Effect.sync(() => void remove.run(key)),
    clear: Effect.sync(() => database.exec("DELETE FROM store")),
    size: Effect.sync(() => allKeys().length),
    keys: Effect.sync(allKeys)
  })
}
