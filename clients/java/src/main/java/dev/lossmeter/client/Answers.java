package dev.lossmeter.client;

import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.OptionalDouble;

/**
 * The answers for several losses over shared tensors.
 *
 * @param results answer of each loss, by name, before its weight
 * @param total sum of the values times their weights; nothing if a value is no single number
 * @param skipped losses whose targets were absent
 */
public record Answers(Map<String, Answer> results, OptionalDouble total, List<String> skipped)
    implements Result {

  /**
   * The answer of one loss.
   *
   * @param name what the loss was called
   * @return its answer
   * @throws NoSuchElementException no loss was called so, or it was skipped
   */
  public Answer get(String name) {
    Answer found = results.get(name);
    if (found == null) {
      throw new NoSuchElementException("no answer is called " + name);
    }
    return found;
  }

  @Override
  public boolean isExact() {
    return results.values().stream().allMatch(Answer::isExact);
  }
}
