#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/simulation/event_queue.h"

namespace assent::simulation {

// What happened in a run, in order. Every run hashes it, so that two runs of a seed can be compared; only a run that is
// to be read keeps the lines.
class Trace {
 public:
  Trace(const EventQueue& queue, bool keeps_lines) : queue_(queue), keeps_lines_(keeps_lines) {}

  // The pieces of one line: text and whole numbers.
  template <typename... Pieces>
  void Note(const Pieces&... pieces) {
    Mix(static_cast<std::uint64_t>(absl::ToInt64Nanoseconds(queue_.now())));
    (Mix(pieces), ...);
    if (keeps_lines_) lines_.push_back(absl::StrCat(absl::FormatDuration(queue_.now()), "  ", pieces...));
  }

  std::uint64_t hash() const { return hash_; }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  // FNV-1a.
  void MixByte(unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001b3; }
  void Mix(const std::string& text) {
    for (const char c : text) MixByte(static_cast<unsigned char>(c));
  }
  void Mix(const char* text) {
    for (; *text != '\0'; ++text) MixByte(static_cast<unsigned char>(*text));
  }
  void Mix(std::uint64_t number) { hash_ = (hash_ ^ number) * 0x100000001b3; }

  const EventQueue& queue_;
  const bool keeps_lines_;
  std::uint64_t hash_ = 0xcbf29ce484222325;
  std::vector<std::string> lines_;
};

}  // namespace assent::simulation
