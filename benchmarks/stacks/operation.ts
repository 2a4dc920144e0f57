/**
 * The one operation that everything here is put around: an async function whose answer is there at once. What is
 * measured is what stands around it, as a provider's answer would hide all of it.
 */

export const answer = {
  text: "The sky is blue because air scatters short wavelengths more than long ones.",
  usage: { inputTokens: { total: 6 }, outputTokens: { total: 14 } }
}

export type Operation = () => Promise<typeof answer>

export const operation: Operation = async () => answer

export class Down extends Error {}

/** Never answers until it is let go. */
export const gated = () => {
  let open = () => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  let started = 0
  return {
    operation: async () => {
      started += 1
      await gate
      return answer
    },
    open: () => open(),
    started: () => started
  }
}

/** How many run at a time, the same for all. */
export const slots = 64
/** The most that wait. */
export const queue = 200_000
/** Limits that are kept and never reached. */
export const plenty = 1_000_000_000
/** Milliseconds a request may take. */
export const timeout = 30_000
