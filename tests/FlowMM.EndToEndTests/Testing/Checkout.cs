using System.Net;
using System.Net.Sockets;

namespace FlowMM.EndToEndTests.Testing;

/// <summary>The checkout that the tests were built from, and the programs built beside them.</summary>
internal static class Checkout
{
    public static string Root { get; } = Find();

    public static string Model { get; } = At("models/tiny");

    /// <summary>A file of the repository.</summary>
    public static string At(string path) => Path.Combine(Root, path);

    /// <summary>A sample picture whose answer is known.</summary>
    public static string Sample(string name) => At($"samples/{name}.png");

    /// <summary>A program's executable, of the same configuration as the tests.</summary>
    public static string Program(string folder, string name)
    {
        // .../tests/FlowMM.EndToEndTests/bin/Release/net10.0/linux-x64/ and the program's own output folder end alike.
        string output = Path.GetRelativePath(At("tests/FlowMM.EndToEndTests"), AppContext.BaseDirectory);
        return Path.Combine(Root, folder, output, name);
    }

    /// <summary>A port that nothing listens on right now.</summary>
    public static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static string Find()
    {
        string? at = AppContext.BaseDirectory;
        while (at is not null && !File.Exists(Path.Combine(at, "FlowMM.Cluster.sln")))
        {
            at = Path.GetDirectoryName(at);
        }

        return at ?? throw new DirectoryNotFoundException("The repository's root is not above the tests.");
    }
}
