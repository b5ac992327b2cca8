/**
 * The attacker: it goes in at one entrance until it is told to stop.
 */
import { setPriority } from "node:os"

import { answer } from "../../bench/roles.ts"
import { entrances } from "./entrances.ts"
import { Target } from "./traffic.ts"

// It shares a processor with the honest client, whose time is measured.
setPriority(19)

let target: Target | undefined

answer({
  attack: ({ name, port }: { readonly name: string; readonly port: number }) => {
    target = new Target(port)
    void entrances.find((entrance) => entrance.name === name)!.attack(target)
  },
  stop: () => {
    target?.end()
    return { lives: target?.lives ?? 0, problem: target?.problem }
  }
})
