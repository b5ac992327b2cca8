import type { ClusterAnswer, Question, Sender } from "../ClusterMessage.ts"

/** Takes what happens to a question. */
export interface Listener {
  readonly onAnswer: (answer: ClusterAnswer) => void
  /** It is over. So many servers have not answered. */
  readonly onEnd: (missing: number) => void
}

/** The acknowledgements that the recipients of one server still owe. */
interface Debt {
  readonly native: boolean
  /** The number of its recipients, as far as it has told it. */
  recipients: number
  settled: number
}

/** Official servers of the classic format do not say who they are: they share one debt. */
const ANONYMOUS = ""

/** A question to all other servers, and what they have answered so far. */
export class OpenQuestion {
  readonly requestId: string
  readonly listener: Listener
  readonly openedAt: number
  /** Whether it asks clients for acknowledgements. */
  readonly asksClients: boolean
  /** Whether it waits for handlers of the application. */
  readonly asksHandlers: boolean
  /** The time since which servers that are alive must have answered a ping. */
  pingedSince: number | undefined
  lastPing: number | undefined
  /** Whether a server has disappeared since the last ping. */
  hasShrunk = false
  /** The ping after a server has disappeared, by its time. */
  wasShrunkAt: number | undefined
  /** The number of other servers: now, and at most since it was asked. */
  private others: number | undefined
  private most = 0
  /** The servers that are there and have answered. */
  private done = 0
  /** The servers that have answered before they left, or have left in good order. */
  private excused = 0
  /** The servers that have answered, but whose clients' acknowledgements will not come. */
  private forgiven = 0
  private readonly answered = new Set<string>()
  private readonly debts = new Map<string, Debt>()

  constructor(requestId: string, question: Question, listener: Listener, openedAt: number) {
    this.requestId = requestId
    this.asksClients = question._tag === "Ask"
    this.asksHandlers = question._tag === "ServerEvent"
    this.listener = listener
    this.openedAt = openedAt
  }

  /** Takes an answer. One that does not belong to the question, or comes twice, changes nothing. */
  onAnswer(from: Sender, answer: ClusterAnswer): void {
    switch (answer._tag) {
      case "Sockets":
      case "Counted":
      case "Answered":
        if (!this.asksClients && this.isFirst(from.uid)) this.listener.onAnswer(answer)
        break
      case "Recipients":
        if (this.asksClients && this.isFirst(from.uid)) this.debtOf(from).recipients += answer.count
        break
      case "Acknowledged":
        if (!this.asksClients) break
        this.debtOf(from).settled++
        this.listener.onAnswer(answer)
        break
      case "RecipientLeft":
        if (this.asksClients) this.debtOf(from).settled++
        break
      case "Alive":
        break
    }
  }

  /** The number of other servers is known. */
  onServers(others: number): void {
    if (this.others !== undefined && others < this.others) this.hasShrunk = true
    this.others = others
    this.most = Math.max(this.most, others)
  }

  /** A server has left. It is missing if it is dead and had not answered. */
  onServerLeft(uid: string, isDead: boolean): void {
    this.forgive(uid)
    if (this.others !== undefined) this.others--
    if (this.answered.has(uid)) {
      this.done--
      this.excused++
    } else if (!isDead) this.excused++
  }

  hasAnswered(uid: string): boolean {
    return this.answered.has(uid)
  }

  /** The acknowledgements of a server will not come. */
  forgive(uid: string): void {
    const debt = this.debts.get(uid)
    if (debt === undefined || debt.settled >= debt.recipients) return
    debt.settled = debt.recipients
    this.forgiven++
  }

  /** The servers of this library whose clients have not all answered. */
  *debtors(): Iterable<string> {
    for (const [uid, { native, recipients, settled }] of this.debts) if (native && settled < recipients) yield uid
  }

  /** The number of servers that have not answered; `undefined` while it is not known. */
  get unanswered(): number | undefined {
    return this.others === undefined ? undefined : Math.max(0, this.others - this.done)
  }

  get owesAcknowledgements(): boolean {
    for (const { recipients, settled } of this.debts.values()) if (settled < recipients) return true
    return false
  }

  /** The number of servers that are missing in the answers so far: one at least, if none is known. */
  get missing(): number {
    if (this.others === undefined) return 1
    return Math.max(0, this.most - this.done - this.excused) + this.forgiven
  }

  private isFirst(uid: string | undefined): boolean {
    if (uid !== undefined) {
      if (this.answered.has(uid)) return false
      this.answered.add(uid)
    }
    this.done++
    return true
  }

  private debtOf({ native, uid = ANONYMOUS }: Sender): Debt {
    let debt = this.debts.get(uid)
    if (debt === undefined) this.debts.set(uid, (debt = { native, recipients: 0, settled: 0 }))
    return debt
  }
}
