import * as ImageSize from "@echelon/providers/ImageSize"
import { expect, it } from "@effect/vitest"

const png = Buffer.concat([
  Buffer.from("89504e470d0a1a0a0000000d49484452", "hex"),
  Buffer.from([0, 0, 3, 32, 0, 0, 2, 88]),
  Buffer.from("0806000000", "hex")
])
const gif = Buffer.from("474946383961200340020000", "hex")
const jpeg = Buffer.concat([
  Buffer.from("ffd8ffe000104a46494600010100000100010000", "hex"),
  Buffer.from("ffc4000401ff", "hex"),
  Buffer.from("ffc2001108025803200301", "hex")
])
const webp = (kind: string, rest: string) =>
  Buffer.concat([Buffer.from("RIFF\0\0\0\0WEBP", "latin1"), Buffer.from(kind, "latin1"), Buffer.from(rest, "hex")])

it("reads the size of each format off its beginning", () => {
  expect(ImageSize.ofBytes(png)).toEqual({ width: 800, height: 600 })
  expect(ImageSize.ofBytes(gif)).toEqual({ width: 800, height: 576 })
  expect(ImageSize.ofBytes(jpeg)).toEqual({ width: 800, height: 600 })
  expect(ImageSize.ofBytes(webp("VP8X", "0a000000000000001f0300570200"))).toEqual({ width: 800, height: 600 })
  expect(ImageSize.ofBytes(webp("VP8L", "000000002f1fc3950000000000000000000000"))).toEqual({ width: 800, height: 600 })
  expect(ImageSize.ofBytes(webp("VP8 ", "00000000" + "000000" + "9d012a" + "20035802"))).toEqual({
    width: 800,
    height: 600
  })
})

it("finds none where there is none, however short", () => {
  for (const whole of [png, gif, jpeg, webp("VP8X", "0a000000000000001f0300570200")])
    for (let length = 0; length < whole.length; length++) {
      const size = ImageSize.ofBytes(whole.subarray(0, length))
      expect(size === undefined || size.width === 800).toBe(true)
    }
  expect(ImageSize.ofBytes(Buffer.from("no image"))).toBeUndefined()
  expect(ImageSize.ofBytes(Buffer.from("ffd8ffe0000000000000000000000000", "hex"))).toBeUndefined()
})

it("reads a part of a prompt in every form", () => {
  const part = { type: "file" as const, mediaType: "image/png" }
  const size = { width: 800, height: 600 }
  expect(ImageSize.of({ ...part, data: png })).toEqual(size)
  expect(ImageSize.of({ ...part, data: png.toString("base64") })).toEqual(size)
  expect(ImageSize.of({ ...part, data: `data:image/png;base64,${png.toString("base64")}` })).toEqual(size)
  expect(ImageSize.of({ ...part, data: new URL("https://a.test/i.png") })).toBeUndefined()
})
