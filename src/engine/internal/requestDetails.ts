import type { ConnectionDetails } from "../EngineRequest.ts"
import { queryOf } from "./query.ts"

/** What stays of a request, for as long as its session: the query is in the URL, and read there by whoever asks for it. */
export class RequestDetails implements ConnectionDetails {
  readonly headers: Readonly<Record<string, string>>
  readonly url: string
  readonly address: string
  readonly secure: boolean
  readonly issued: number

  constructor(
    headers: Readonly<Record<string, string>>,
    url: string,
    address: string,
    secure: boolean,
    issued: number
  ) {
    this.headers = headers
    this.url = url
    this.address = address
    this.secure = secure
    this.issued = issued
  }

  get query(): ReadonlyMap<string, string> {
    return new Query(queryOf(this.url))
  }
}

/** A map that is an object in JSON, rather than nothing. */
class Query extends Map<string, string> {
  toJSON(): Record<string, string> {
    return Object.fromEntries(this)
  }
}
