#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace assent::integration {

// A TCP proxy to a server of this machine that meddles as soon as a client says a certain word, before the server hears
// it: how a participant vanishes at one point of the protocol. Thread-safe.
class MeddlingProxy {
 public:
  explicit MeddlingProxy(int target_port);
  ~MeddlingProxy();
  MeddlingProxy(const MeddlingProxy&) = delete;
  MeddlingProxy& operator=(const MeddlingProxy&) = delete;

  int port() const { return port_; }

  // The next time that the word is said, every connection is cut, and nobody comes through before Heal().
  void CutAt(const std::string& word);
  bool has_cut() const { return is_cut_; }
  void Heal();

  // Whenever the word is said, nothing more of that connection's client comes through; the others are let alone.
  void HoldAt(const std::string& word);
  bool has_held() const { return has_held_; }

  // Whenever the word is said, the server hears it with its spaces written as underscores, and refuses the statement.
  void SpoilAt(const std::string& word);

 private:
  enum class Meddling { kCuts, kHolds, kSpoils };

  struct Pair {
    int client = -1;
    int server = -1;
    std::string said = {};  // the end of what the client has said, for words in two pieces
    bool is_held = false;
  };

  void MeddleAt(const std::string& word, Meddling meddling);
  void Run();
  void Accept();
  bool Forward(Pair& pair, bool from_client);
  bool HearsTheWord(Pair& pair, const std::string& bytes);
  void Spoil(std::string& bytes);

  const int target_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> is_cut_ = false;
  std::atomic<bool> has_held_ = false;
  std::mutex mutex_;
  std::string word_;
  Meddling meddling_ = Meddling::kCuts;
  std::vector<Pair> pairs_;  // the thread only
  std::thread thread_;
};

}  // namespace assent::integration
