/** The order of the pack's templates: the server lists files as they lie on the disk, beginners want the first first. */

export const ORDER = [
  'Talking portrait',
  'Talking portrait, one plain node',
  'Talking portrait, every step',
  'Prompts that change in time',
  'Several photographs of one person',
  'Dubbing a video',
  'Motion from a file',
  'A folder of recordings',
  'A long video',
  'Any sampler, KSampler and FreeU',
  'Score of mouth and voice',
  'SD1.5, public weights',
  'SD1.5, with LoRA and ControlNet',
]

/** Return the templates of every pack, by its name, with ours in their order and all others as they were. */
export function inOrder(templates) {
  const sorted = Object.entries(templates ?? {}).map(([pack, names]) => {
    const ours = Array.isArray(names) && ORDER.every((title) => names.includes(title))
    return [pack, ours ? [...ORDER, ...names.filter((name) => !ORDER.includes(name))] : names]
  })
  return Object.fromEntries(sorted)
}

/** Let the browser of templates list ours in their order. */
export function orderTemplates(api) {
  const before = api.getWorkflowTemplates
  if (before) api.getWorkflowTemplates = async (...given) => inOrder(await before.apply(api, given))
}
