#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace assent {

// An address that assentd can listen on.
struct ListenAddress {
  enum class Kind {
    kUnixSocket,  // "unix:/run/assent/assentd.sock": guarded by the file's permissions
    kLoopback,    // "127.0.0.1:7411", "[::1]:7411", "localhost:7411"
    kNetwork,     // any other host: whoever reaches it may run SQL, so it needs TLS or an explicit word
  };
  Kind kind = Kind::kNetwork;
  std::string text;  // as written, which is also how gRPC names it
  std::string host;  // without brackets; of a Unix socket: the path
  int port = 0;      // 0: any free one

  // The address with the port that was bound.
  std::string WithPort(int bound_port) const;
};

// Nothing for a text of another form.
std::optional<ListenAddress> ParseListenAddress(std::string_view text);

}  // namespace assent
