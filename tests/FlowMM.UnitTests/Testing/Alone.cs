using Xunit;

namespace FlowMM.UnitTests.Testing;

/// <summary>Tests that count what the whole process holds: nothing may run beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    /// <summary>The collection's name.</summary>
    public const string Name = "alone";
}
