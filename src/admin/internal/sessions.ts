import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"

/** No session of ours is longer. */
const MAX_LENGTH = 128

/**
 * Signed sessions: `<end>.<random>.<signature>`. Nothing is remembered, so there is nothing to
 * fill, and a session holds on every server with the same secret.
 */
export class Sessions {
  private readonly secret: string | Buffer
  private readonly namespace: string
  private readonly timeToLive: number

  constructor(secret: string | undefined, namespace: string, timeToLive: number) {
    this.secret = secret ?? randomBytes(32)
    this.namespace = namespace
    this.timeToLive = timeToLive
  }

  open(now: number): string {
    const content = `${(now + this.timeToLive).toString(36)}.${randomBytes(12).toString("base64url")}`
    return `${content}.${this.sign(content).toString("base64url")}`
  }

  isOpen(session: string, now: number): boolean {
    if (session.length > MAX_LENGTH) return false
    const at = session.lastIndexOf(".")
    const content = session.slice(0, Math.max(0, at))
    const end = Number.parseInt(content, 36)
    if (!(end > now)) return false
    const expected = this.sign(content)
    const given = Buffer.from(session.slice(at + 1), "base64url")
    return given.length === expected.length && timingSafeEqual(given, expected)
  }

  private sign(content: string): Buffer {
    return createHmac("sha256", this.secret).update(`${this.namespace} ${content}`).digest()
  }
}
