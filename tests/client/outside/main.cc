// The README's example against a coordinator that is not there: it must compile, link, run, and not know the outcome.
#include <assent/client.h>

#include <iostream>

int main() {
  assent::ClientOptions options;
  options.address = "127.0.0.1:1";
  options.default_timeout = absl::Milliseconds(50);
  options.retry.grace = absl::Milliseconds(50);
  assent::Client client(options);
  auto result = client.Submit(assent::Submission()
                                  .Do("orders-db", assent::Sql("INSERT INTO orders VALUES ($1, $2, $3)", 42, "tea", 2))
                                  .Do("events", assent::Record("orders", "42", R"({"item": "tea"})"))
                                  .RequestId("place-order-42"));
  std::cout << assent::Name(assent::OutcomeOf(result.status())) << "\n";
  return assent::OutcomeOf(result.status()) == assent::Outcome::kUnknown ? 0 : 1;
}
