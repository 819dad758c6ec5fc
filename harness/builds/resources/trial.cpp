// What a fetched compiler must compile, link and run with the host's C++ library before it is used.
#include <iostream>
#include <regex>
#include <stdexcept>
#include <thread>

int main() {
    bool caught = false;
    std::thread other([&caught] {
        try {
            std::regex expression("(");
        } catch (const std::regex_error &) {
            caught = true;
        }
    });
    other.join();
    if (!caught || !std::regex_match("b9246", std::regex("b[0-9]+"))) {
        return 1;
    }
    std::cout << "works" << std::endl;
    return 0;
}
