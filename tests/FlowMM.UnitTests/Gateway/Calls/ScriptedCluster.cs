using System.Reflection;

namespace FlowMM.UnitTests.Gateway.Calls;

/// <summary>A cluster of one grain for each key, whose calls are answered as a test says, in order.</summary>
public class ScriptedCluster : DispatchProxy
{
    private readonly Queue<(string Method, Func<object> Answer)> _answers = [];

    /// <summary>Calls that came: the grain's key, the method and what else was said.</summary>
    public List<string> Calls { get; } = [];

    public static (IClusterClient Cluster, ScriptedCluster Script) Create()
    {
        IClusterClient cluster = Create<IClusterClient, ScriptedCluster>();
        return (cluster, (ScriptedCluster)(object)cluster);
    }

    /// <summary>The next call must be of this method and is answered so.</summary>
    public ScriptedCluster Answers(string method, Func<object> answer)
    {
        _answers.Enqueue((method, answer));
        return this;
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
    {
        object grain = Create(targetMethod!.ReturnType, typeof(Grain));
        ((Grain)grain).Called = (method, more) =>
        {
            Calls.Add($"{args![0]} {method}{string.Concat(more.Where(m => m is not CancellationToken).Select(m => $" {m}"))}");
            (string expected, Func<object> answer) = _answers.Dequeue();
            return method == expected ? answer() : throw new NotSupportedException($"{method} came instead of {expected}.");
        };
        return grain;
    }

    /// <summary>A grain of whatever interface is asked for.</summary>
    public class Grain : DispatchProxy
    {
        internal Func<string, object?[], object> Called { get; set; } = null!;

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => Called(targetMethod!.Name, args!);
    }
}
