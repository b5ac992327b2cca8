import type { Deliver, Transmission } from "../Link.ts"
import type { Frame, FromClient, FromServer, MediumObserver, Network } from "../Network.ts"
import type { World } from "./world.ts"

/** The faults of a simulated network; rates are probabilities, per message. */
export interface Conditions {
  /** In milliseconds. */
  readonly latency: readonly [min: number, max: number]
  readonly resetRate: number
  readonly halfOpenRate: number
}

/** Longer texts are cut in the trace; their hash counts as a whole. */
const MAX_TEXT = 200

/** The networks of a simulation: they decide how messages arrive, and record them. */
export class Wires implements MediumObserver {
  private readonly world: World
  private readonly networks: Array<Network> = []
  private readonly states: Array<"up" | "cut" | "stalled"> = []
  private readonly open = new Map<number, () => void>()
  private readonly halfOpen = new Set<number>()
  private readonly waiting = new Map<number, number>()
  private isCalm = false
  private linkCount = 0
  private networkCount = 0

  constructor(world: World) {
    this.world = world
  }

  /** Delays messages, and loses connections. */
  deliver({ halfOpenRate, latency: [min, max], resetRate }: Conditions): Deliver {
    const { network } = this.world
    return ({ arrive, direction, link }) => {
      const drawn = network.double()
      const chance = this.isCalm ? 1 : drawn
      const delay = min + network.double() * (max - min)
      this.waiting.set(link, (this.waiting.get(link) ?? 0) + 1)
      if (chance < halfOpenRate) {
        this.halfOpen.add(link)
        return this.world.note(`link ${link} carries nothing ${direction} any more`)
      }
      this.world.after(delay, () => {
        if (chance >= halfOpenRate + resetRate) return arrive()
        this.world.note(`link ${link} is reset`)
        this.open.get(link)?.()
      })
    }
  }

  nextLink(): number {
    return this.linkCount++
  }

  nextNetwork(): number {
    return this.networkCount++
  }

  onNetwork(_id: number, network: Network): void {
    this.networks.push(network)
    this.states.push("up")
  }

  onChange(network: number, state: "up" | "cut" | "stalled"): void {
    this.states[network] = state
    this.world.note(`network ${network} is ${state}`)
  }

  onLink(link: number, network: number, cut: () => void): void {
    this.open.set(link, cut)
    this.world.note(`link ${link} on network ${network}`)
  }

  onArrived(link: number, direction: Transmission["direction"], content: Parameters<MediumObserver["onArrived"]>[2]) {
    this.waiting.set(link, this.waiting.get(link)! - 1)
    this.world.note(`link ${link} ${direction}: ${describe(content)}`)
  }

  onEnded(link: number): void {
    this.open.delete(link)
    this.waiting.delete(link)
    this.world.note(`link ${link} has ended`)
  }

  /** Everything that has not ended, in words. */
  get rest(): ReadonlyArray<string> {
    const links = Array.from(this.open.keys(), (link) => {
      const held = this.waiting.get(link) ?? 0
      const state = this.halfOpen.has(link) ? ", half-open" : ""
      return `link ${link} is open${held === 0 ? "" : ` with ${held} on their way`}${state}`
    })
    return [...this.states.flatMap((state, id) => (state === "up" ? [] : [`network ${id} is ${state}`])), ...links]
  }

  /** Makes all networks work from now on, and breaks connections that only a fault kept open. */
  calm(): void {
    this.isCalm = true
    for (const link of this.halfOpen) this.open.get(link)?.()
    this.states.forEach((state, id) => {
      if (state !== "up") this.world.run(this.networks[id]!.restore)
    })
  }
}

const isFrame = (content: unknown): content is Frame => typeof content === "string" || content instanceof Uint8Array

const describe = (content: FromClient | FromServer | { readonly ending: string }): string => {
  if (isFrame(content)) return text(content)
  if ("ending" in content) return content.ending
  if ("status" in content) return `${content.status} ${text(content.body)}`
  // Each request has a parameter against caches, which the trace omits.
  const url = content.url.replace(/&t=\w*/, "")
  return `${content.upgrade ? "upgrade" : content.method} ${url} ${text(content.body)}`
}

const text = (frame: Frame): string =>
  typeof frame !== "string"
    ? `<${Array.from(frame.subarray(0, MAX_TEXT / 4), (byte) => byte.toString(16).padStart(2, "0")).join(" ")}>`
    : frame.length > MAX_TEXT
      ? `${frame.slice(0, MAX_TEXT)}… (${frame.length})`
      : frame
