import type { ClusterAnswer, Question, Sender } from "../ClusterMessage.ts"

/** Between two pings, in milliseconds. */
const PING_INTERVAL = 500

/** The time, in milliseconds, for a sign of work after a ping: nobody waits longer for a server. */
const HUNG_AFTER = 1_500

/** The same after a server has disappeared: is it this one? */
const DEAD_AFTER = 150

/** The time for the goodbye of a server that has disappeared, and for answers, in milliseconds. */
const GOODBYE_WITHIN = 50

/** A server that has said goodbye disappears within this time, in milliseconds. */
const DISAPPEARS_WITHIN = 300

/** The servers of which a question remembers something. Further answers of theirs are ignored. */
const MAX_SERVERS = 1_000

/** The most acknowledgements that are taken before the number of their recipients is known. */
const MAX_EARLY = 10_000

/** The acknowledgements that a question takes at most. */
const MAX_ACKNOWLEDGEMENTS = 1_000_000

/** The most sockets that are known to have answered. A second answer of others counts anew. */
const MAX_SIDS = 100_000

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
  /** The sockets that have answered, where servers tell them. */
  readonly sids: Set<string>
}

/** A server that has left, but is perhaps still counted. */
interface Leave {
  at: number
  /** Whether it was expected to answer, and need not any more. */
  readonly isExcused: boolean
}

/** Official servers of the classic format do not say who they are: they share one debt. */
const ANONYMOUS = ""

const isOwed = ({ recipients, settled }: Debt): boolean => settled < recipients

/**
 * A question to all other servers, and what they have answered so far.
 *
 * Servers are counted, because most wire formats do not name them. Those that were there when it
 * was asked are expected to answer. Later ones did not get it: they are neither waited for nor
 * missing. Only servers of this library that are at work on the question say so when they are
 * pinged. One that has lost it, or whose answer was lost, is silent like one that hangs.
 *
 * All times are those of the watch, which stands still while this process sleeps.
 */
export class OpenQuestion {
  readonly requestId: string
  readonly number: number
  readonly listener: Listener
  readonly openedAt: number
  readonly answered = new Set<string>()
  /** Whether it asks clients for acknowledgements. */
  private readonly asksClients: boolean
  /** Whether it waits for handlers of the application. */
  private readonly asksHandlers: boolean
  private lastPing: number | undefined
  /** The first ping since which servers have been asked without a pause. */
  private pingedSince: number | undefined
  /** The time since which the number of servers is not known. */
  private unreachableSince: number | undefined
  /** The number of other servers: when it was asked, and now. */
  private expected: number | undefined
  private present = 0
  /** The servers that have disappeared since; those of them that had answered or said goodbye. */
  private disappeared = 0
  private explained = 0
  /** The servers that have come since. */
  private joined = 0
  private shrunkAt: number | undefined
  /** Since when all have answered that are counted, but not all that are known. */
  private doubtfulSince: number | undefined
  private wantsPing = false
  /** The servers of which a goodbye or their death was told, and whether they are dead. */
  private readonly left = new Map<string, boolean>()
  private readonly leaves: Array<Leave> = []
  /** The servers that have answered. */
  private done = 0
  /** The servers that have left in good order, and had not answered. */
  private excused = 0
  private readonly debts = new Map<string, Debt>()
  /** The acknowledgements; those that came before the number of their recipients; their sockets. */
  private acknowledged = 0
  private early = 0
  private sids = 0
  /** When each server was last known to be at work on it. */
  private readonly atWork = new Map<string, number>()
  /** The servers that are not waited for, though they were at work or their clients are. */
  private readonly givenUp = new Set<string>()
  /** The number of them that were given up because a server had disappeared. */
  private presumedDead = 0

  constructor(requestId: string, number: number, question: Question, listener: Listener, now: number) {
    this.requestId = requestId
    this.number = number
    this.asksClients = question._tag === "Ask"
    this.asksHandlers = question._tag === "ServerEvent"
    this.listener = listener
    this.openedAt = now
  }

  // ---------------------------------------------------------------- news of the servers

  /** Takes an answer. One that does not belong to the question, or comes twice, changes nothing. */
  onAnswer(from: Sender, answer: ClusterAnswer, now: number): void {
    switch (answer._tag) {
      case "Sockets":
      case "Counted":
        if (!this.asksClients && !this.asksHandlers && this.isFirst(from.uid, now)) this.listener.onAnswer(answer)
        return
      case "Answered":
        if (this.asksHandlers && this.isFirst(from.uid, now)) this.listener.onAnswer(answer)
        return
      case "Recipients": {
        if (!this.asksClients) return
        const debt = this.debtOf(from)
        if (debt !== undefined && this.isFirst(from.uid, now)) debt.recipients += answer.count
        return
      }
      case "Acknowledged":
        if (this.isOwing(from, answer.acknowledgement.sid)) this.listener.onAnswer(answer)
        return
      case "RecipientLeft":
        this.isOwing(from, undefined)
        return
      case "Alive":
        if (!from.native || from.uid === undefined || this.left.has(from.uid)) return
        if (!this.atWork.has(from.uid) && this.atWork.size >= MAX_SERVERS) return
        this.atWork.set(from.uid, now)
        this.givenUp.delete(from.uid)
    }
  }

  /** A server has left. It is missing if it is dead and had not answered. */
  onServerLeft(uid: string, isDead: boolean, now: number): void {
    if (this.left.has(uid) || this.left.size >= MAX_SERVERS) return
    this.left.set(uid, isDead)
    const wasAtWork = this.atWork.delete(uid)
    // The clients of a server that leaves in good order have left before it.
    if (isDead) this.givenUp.add(uid)
    else this.debts.delete(uid)
    const hasAnswered = this.answered.has(uid)
    // It may have come after the question. It was not expected then: another one would be excused.
    const isLate = !hasAnswered && !wasAtWork && this.joined > 0
    if (isLate) this.joined--
    else if (isDead && !hasAnswered) return
    this.leaves.push({ at: now, isExcused: !hasAnswered && !isLate })
    this.explain(now)
  }

  // ---------------------------------------------------------------- the watch

  /** Takes the number of other servers. `undefined` if it is not known. */
  onServers(others: number | undefined, now: number): void {
    if (others === undefined) {
      // Nobody can be asked, so nobody is accused.
      this.unreachableSince ??= now
      this.pingedSince = this.lastPing = this.shrunkAt = undefined
      this.wantsPing = false
      // Whether they have disappeared is seen later.
      for (const leave of this.leaves) leave.at = now
      return
    }
    this.unreachableSince = undefined
    if (this.expected === undefined) this.expected = others
    else if (others > this.present) this.joined += others - this.present
    else if (others < this.present) {
      this.disappeared += this.present - others
      this.shrunkAt = now
      this.wantsPing = true
      this.explain(now)
    }
    this.present = others
  }

  /** Whether a ping is due. The first one after a server has disappeared tells which it was. */
  takePing(now: number): boolean {
    if (this.unreachableSince !== undefined) return false
    if (!this.wantsPing && now - (this.lastPing ?? this.openedAt) < PING_INTERVAL) return false
    this.wantsPing = false
    this.lastPing = now
    this.pingedSince ??= now
    return true
  }

  /**
   * Whether all have answered. One that answers and dies before it is counted stands for another
   * one in the numbers: so those that are known get a little time, and a ping.
   */
  isComplete(now: number, known: ReadonlyMap<string, unknown>): boolean {
    const { unanswered } = this
    if (unanswered === undefined || unanswered > 0 || this.isInWork) return false
    if (this.doubtfulSince !== undefined && now - this.doubtfulSince >= DEAD_AFTER) return true
    for (const uid of known.keys()) {
      if (this.answered.has(uid) || this.isSilent(uid, now)) continue
      if (this.doubtfulSince === undefined) this.wantsPing = true
      this.doubtfulSince ??= now
      return false
    }
    return true
  }

  /** Whether others are known to be at work on it, or their clients: they get some patience. */
  get isInWork(): boolean {
    return this.owesAcknowledgements || this.isWorkedOn
  }

  /** Whether a server has disappeared. */
  get hasShrunk(): boolean {
    return this.disappeared > 0
  }

  /** Whether all have answered that were there all the time: nobody else was there. */
  get isExact(): boolean {
    return this.done === this.expected && this.disappeared === 0 && this.joined === 0 && this.left.size === 0
  }

  /**
   * Whether nothing more is to be waited for. `silent` tells which servers of this library do not
   * answer; `timeout` is the patience with the others.
   */
  isOver(now: number, known: ReadonlyMap<string, unknown>, timeout: number, onSilent: (uid: string) => void): boolean {
    const since = this.unreachableSince
    if (since !== undefined) {
      return this.isComplete(now, known) || now - Math.max(since, this.openedAt) >= timeout
    }
    this.giveUp(now)
    if (this.isComplete(now, known)) return true
    if (this.isInWork) return false
    const { unanswered } = this
    if (unanswered !== undefined && unanswered > 0) {
      let silent = 0
      for (const uid of known.keys()) {
        if (this.answered.has(uid) || !this.isSilent(uid, now)) continue
        silent++
        onSilent(uid)
      }
      // Some of those that are silent may be those that have disappeared.
      if (unanswered <= Math.max(silent, this.isGraceOver(now) ? this.unexplained : 0)) return true
    }
    return now - this.openedAt >= timeout
  }

  /** The missing servers: one at least if nobody could count them. `others` were there before. */
  missing(others = 0): number {
    let owing = 0
    for (const debt of this.debts.values()) if (isOwed(debt)) owing++
    const expected = this.expected ?? Math.max(others, this.done + 1)
    return owing + Math.max(0, expected - this.done - this.excused)
  }

  // ---------------------------------------------------------------- the servers that it waits for

  /** The servers that have neither answered nor left in good order, if their number is known. */
  private get unanswered(): number | undefined {
    return this.expected === undefined ? undefined : this.expected - this.done - this.excused
  }

  private get owesAcknowledgements(): boolean {
    for (const [uid, debt] of this.debts) if (isOwed(debt) && !this.givenUp.has(uid)) return true
    return false
  }

  /** Whether a server is at work that has not answered. */
  private get isWorkedOn(): boolean {
    for (const uid of this.atWork.keys()) if (!this.answered.has(uid) && !this.givenUp.has(uid)) return true
    return false
  }

  /** The number of servers that have disappeared without a word. */
  private get unexplained(): number {
    return this.disappeared - this.explained
  }

  /**
   * Puts servers that have left and those that have disappeared together. The news of a server
   * may come before or after it is no longer counted, and it may not have been counted at all.
   */
  private explain(now: number): void {
    while (this.leaves.length > 0 && now - this.leaves[0]!.at > DISAPPEARS_WITHIN) this.leaves.shift()
    while (this.unexplained > 0 && this.leaves.length > 0) {
      this.explained++
      if (this.leaves.shift()!.isExcused) this.excused++
    }
  }

  /** Whether those that disappeared had time for a goodbye, and the others for an answer. */
  private isGraceOver(now: number): boolean {
    return this.shrunkAt === undefined || now - this.shrunkAt >= (this.asksHandlers ? DEAD_AFTER : GOODBYE_WITHIN)
  }

  private isSilent(uid: string, now: number): boolean {
    if (this.pingedSince === undefined) return false
    const seen = this.atWork.get(uid)
    // The next ping after the one that it has answered.
    const unansweredSince = seen === undefined ? 0 : seen + PING_INTERVAL
    return now - Math.max(unansweredSince, this.pingedSince) >= HUNG_AFTER
  }

  /** Gives up those that were at work, or whose clients are, and do not answer pings any more. */
  private giveUp(now: number): void {
    const { shrunkAt } = this
    const suspects: Array<string> = []
    // Most likely, one that has not answered and is not at work is one that has disappeared.
    let idle = this.unanswered ?? 0
    for (const uid of this.waitedFor()) {
      if (this.isSilent(uid, now)) {
        this.givenUp.add(uid)
        continue
      }
      if (!this.answered.has(uid)) idle--
      if (shrunkAt !== undefined && (this.atWork.get(uid) ?? -1) < shrunkAt) suspects.push(uid)
    }
    if (shrunkAt === undefined || now - shrunkAt < DEAD_AFTER) return
    // More suspects than dead: some of them are only slow.
    if (suspects.length > 0 && suspects.length <= this.unexplained - this.presumedDead - Math.max(0, idle)) {
      this.presumedDead += suspects.length
      for (const uid of suspects) this.givenUp.add(uid)
    }
    // Nobody is left who could answer, official servers included.
    if (this.present === 0) for (const uid of this.debts.keys()) this.givenUp.add(uid)
  }

  /** The servers of this library that are at work, or whose clients are. */
  private *waitedFor(): Iterable<string> {
    for (const uid of this.atWork.keys()) if (!this.answered.has(uid) && !this.givenUp.has(uid)) yield uid
    for (const [uid, debt] of this.debts) if (debt.native && isOwed(debt) && !this.givenUp.has(uid)) yield uid
  }

  // ---------------------------------------------------------------- answers, once each

  private isFirst(uid: string | undefined, now: number): boolean {
    if (uid !== undefined) {
      if (this.answered.has(uid) || this.answered.size >= MAX_SERVERS) return false
      const isDead = this.left.get(uid)
      // It is not expected any more.
      if (isDead === false) return false
      this.answered.add(uid)
      // Its death was faster than its answer.
      if (isDead === true) this.leaves.push({ at: now, isExcused: false })
    }
    this.done++
    this.explain(now)
    return true
  }

  /** Settles one acknowledgement. Returns whether it was owed. */
  private isOwing(from: Sender, sid: string | undefined): boolean {
    const debt = this.asksClients ? this.debtOf(from) : undefined
    if (debt === undefined) return false
    // It may be earlier than the number of recipients, where a broker does not keep the order.
    const isTold = from.uid !== undefined && this.answered.has(from.uid)
    const isEarly = debt.settled >= debt.recipients
    if (isEarly && (isTold || this.early >= MAX_EARLY)) return false
    if (this.acknowledged >= MAX_ACKNOWLEDGEMENTS) return false
    if (sid !== undefined && debt.native) {
      if (debt.sids.has(sid)) return false
      if (this.sids < MAX_SIDS) {
        this.sids++
        debt.sids.add(sid)
      }
    }
    if (isEarly) this.early++
    this.acknowledged++
    debt.settled++
    return true
  }

  private debtOf({ native, uid = ANONYMOUS }: Sender): Debt | undefined {
    let debt = this.debts.get(uid)
    if (debt === undefined && this.debts.size < MAX_SERVERS && this.left.get(uid) !== false) {
      this.debts.set(uid, (debt = { native, recipients: 0, settled: 0, sids: new Set() }))
    }
    return debt
  }
}
