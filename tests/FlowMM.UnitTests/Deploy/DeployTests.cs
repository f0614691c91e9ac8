using System.Globalization;
using System.Text.RegularExpressions;
using FlowMM.Engine;
using FlowMM.Gateway.Hosting;
using FlowMM.Gateway.Streams;
using FlowMM.Silo.Files;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Migration;
using FlowMM.Silo.Rebalancing;
using FlowMM.UnitTests.Testing;
using NJsonSchema;
using Xunit;
using YamlDotNet.RepresentationModel;
using YamlDotNet.Serialization;

namespace FlowMM.UnitTests.Deploy;

/// <summary>What of deploy/ and helm/ can be held without Docker and Kubernetes: form, schema, and that they agree with each other and with the programs.</summary>
public sealed partial class DeployTests
{
    private static readonly string Chart = Path.Combine(Repository.Root, "helm", "flowmm");

    // As SiloHosting and GatewayHosting bind them.
    private static readonly Dictionary<string, Type> Sections = new()
    {
        ["FlowMM:Silo"] = typeof(SiloSettings),
        ["FlowMM:Model"] = typeof(ModelSettings),
        ["FlowMM:Engine"] = typeof(EngineOptions),
        ["FlowMM:Defaults"] = typeof(DefaultSettings),
        ["FlowMM:Store"] = typeof(StoreSettings),
        ["FlowMM:Files"] = typeof(FileSettings),
        ["FlowMM:Snapshots"] = typeof(SnapshotOptions),
        ["FlowMM:Handover"] = typeof(HandoverOptions),
        ["FlowMM:Rebalance"] = typeof(RebalanceOptions),
        [GatewayOptions.Section] = typeof(GatewayOptions),
        [FailoverOptions.Section] = typeof(FailoverOptions),
    };

    [Fact]
    public async Task Values_OfTheChart_FitTheirSchema() => Assert.Empty((await Schema()).Validate(Json(Values())));

    [Theory]
    [InlineData("  drainSeconds: 60", "  drainSeconds: 0")]
    [InlineData("  drainSeconds: 60", "  drainSeconds: \"60\"")]
    [InlineData("  device: cpu", "  device: gpu")]
    [InlineData("    threshold: 0.2", "    threshold: 20")]
    [InlineData("    prefer: idlest", "    prefer: oldest")]
    [InlineData("  graceSeconds: 30", "  graceSeconds: 1")]
    [InlineData("  secretName: flowmm-redis", "  connection: redis:6379")]
    [InlineData("clusterId: flowmm", "clusterId: a b")]
    [InlineData("  secretKey: key", "  key: a secret")]
    public async Task Values_Wrong_AreRefusedByTheSchema(string right, string wrong)
    {
        string values = Values();
        Assert.Contains(right, values, StringComparison.Ordinal);
        Assert.NotEmpty((await Schema()).Validate(Json(values.Replace(right, wrong, StringComparison.Ordinal))));
    }

    [Fact]
    public void Templates_ValuesThatTheyName_AreInTheValues()
    {
        YamlMappingNode values = Parse(Values());
        string[] named = [.. Templates().SelectMany(t => Named().Matches(t)).Select(m => m.Groups[1].Value).Distinct()];
        Assert.NotEmpty(named);
        Assert.All(named, path => Assert.True(Find(values, path.Split('.')), $".Values.{path} is not in values.yaml"));
    }

    [Fact]
    public void Templates_BlocksOpened_AreClosed() => Assert.All(
        Templates(), t => Assert.Equal(Opened().Count(t), Closed().Count(t)));

    [Fact]
    public void Silo_GracePeriod_IsPreStopAndDrainAndMore() => Assert.Contains(
        "terminationGracePeriodSeconds: {{ add .Values.silo.preStopSeconds .Values.silo.drainSeconds .Values.silo.graceSeconds }}",
        File.ReadAllText(Path.Combine(Chart, "templates", "silo.yaml")),
        StringComparison.Ordinal);

    [Fact]
    public void Silo_HandoverKey_ComesFromASecret()
    {
        string silo = File.ReadAllText(Path.Combine(Chart, "templates", "silo.yaml"));
        Assert.Matches(@"FlowMM__Handover__Key\s+valueFrom:\s+secretKeyRef:\s+name: \{\{ \.Values\.handover\.secretName", silo);
        Assert.DoesNotMatch(@"FlowMM__Handover__Key\s+value:", silo);
    }

    [Fact]
    public void Compose_Services_AreRedisTwoSilosAndAGateway()
    {
        YamlMappingNode compose = Parse(File.ReadAllText(Path.Combine(Repository.Root, "deploy", "compose.yaml")));
        YamlMappingNode services = (YamlMappingNode)compose["services"];
        Assert.Equal(["gateway", "redis", "silo-1", "silo-2"], services.Children.Keys.Select(k => k.ToString()).Order());
        foreach (string silo in (string[])["silo-1", "silo-2"])
        {
            string told = services[silo]["environment"]["FlowMM__Silo__Address"].ToString();
            Assert.Equal(told, services[silo]["networks"]["flowmm"]["ipv4_address"].ToString());
        }

        string grace = compose["x-silo"]["stop_grace_period"].ToString();
        TimeSpan drain = new HandoverOptions().DrainTimeout;
        Assert.True(int.Parse(grace.TrimEnd('s'), CultureInfo.InvariantCulture) > drain.TotalSeconds, "longer than a drain takes by default");
        Assert.True(File.Exists(Path.Combine(Repository.Root, compose["x-silo"]["build"]["dockerfile"].ToString())));
    }

    [Fact]
    public void Settings_NamedByTheChartAndTheComposeFile_AreOptions()
    {
        string[] files = [Path.Combine(Repository.Root, "deploy", "compose.yaml"), .. Directory.EnumerateFiles(Path.Combine(Repository.Root, "helm"), "*", SearchOption.AllDirectories)];
        string[] named = [.. files.SelectMany(f => Setting().Matches(File.ReadAllText(f))).Select(m => m.Value).Distinct()];
        Assert.Contains("FlowMM__Handover__DrainTimeout", named);
        Assert.Contains("FlowMM__Gateway__Keys__0__KeySha256", named);
        Assert.All(named, name => Assert.True(IsOption(name), $"{name} is no setting of a silo or a gateway"));
    }

    [Theory]
    [InlineData("FlowMM__Silo__Adress")]
    [InlineData("FlowMM__Drain__Timeout")]
    [InlineData("FlowMM__Gateway__Keys__Tenant")]
    [InlineData("FlowMM__Handover")]
    public void Settings_ThatAreNone_AreFound(string name) => Assert.False(IsOption(name));

    [Fact]
    public void Dockerfiles_WhatTheyCopyAndStart_Exists()
    {
        string[] files = [.. Directory.EnumerateFiles(Path.Combine(Repository.Root, "deploy"), "*.Dockerfile")];
        Assert.Equal(3, files.Length);
        foreach (string text in files.Select(File.ReadAllText))
        {
            string project = Published().Match(text).Groups[1].Value;
            Assert.True(File.Exists(Path.Combine(Repository.Root, project)), project);
            string program = Started().Match(text).Groups[1].Value;
            Assert.Contains($"<AssemblyName>{program}</AssemblyName>", File.ReadAllText(Path.Combine(Repository.Root, project)), StringComparison.Ordinal);
        }
    }

    /// <summary>Follows a variable's path from the longest section that it begins with to a property of the options that the section is bound to.</summary>
    private static bool IsOption(string variable)
    {
        string setting = variable.Replace("__", ":", StringComparison.Ordinal);
        if (setting is "FlowMM:Redis" or "FlowMM:ClusterId")
        {
            return true;
        }

        if (Sections.Keys.Where(s => setting.StartsWith(s + ":", StringComparison.Ordinal)).MaxBy(s => s.Length) is not string section)
        {
            return false;
        }

        Type? at = Sections[section];
        foreach (string step in setting[(section.Length + 1)..].Split(':'))
        {
            bool list = at is { IsGenericType: true } && at.GetGenericTypeDefinition() == typeof(IList<>);
            at = !list ? at?.GetProperty(step)?.PropertyType : int.TryParse(step, out _) ? at!.GetGenericArguments()[0] : null;
        }

        return at is not null;
    }

    private static string Values() => File.ReadAllText(Path.Combine(Chart, "values.yaml"));

    private static IEnumerable<string> Templates() => Directory.EnumerateFiles(Path.Combine(Chart, "templates")).Select(File.ReadAllText);

    private static Task<JsonSchema> Schema() => JsonSchema.FromFileAsync(Path.Combine(Chart, "values.schema.json"));

    private static YamlMappingNode Parse(string text)
    {
        YamlStream stream = [];
        stream.Load(new StringReader(text));
        return (YamlMappingNode)stream.Documents[0].RootNode;
    }

    private static string Json(string yaml)
    {
        object? values = new DeserializerBuilder().WithAttemptingUnquotedStringTypeDeserialization().Build().Deserialize(yaml);
        return new SerializerBuilder().JsonCompatible().Build().Serialize(values);
    }

    private static bool Find(YamlNode node, IEnumerable<string> path)
    {
        foreach (string key in path)
        {
            if (node is not YamlMappingNode mapping || !mapping.Children.TryGetValue(key, out YamlNode? child))
            {
                return false;
            }

            node = child;
        }

        return true;
    }

    [GeneratedRegex("FlowMM__[A-Za-z0-9_]+")]
    private static partial Regex Setting();

    [GeneratedRegex(@"\.Values\.([A-Za-z.]+)")]
    private static partial Regex Named();

    [GeneratedRegex(@"\{\{-? (?:with|if|range|define) ")]
    private static partial Regex Opened();

    [GeneratedRegex(@"\{\{-? end \}\}")]
    private static partial Regex Closed();

    [GeneratedRegex(@"dotnet publish (\S+)")]
    private static partial Regex Published();

    [GeneratedRegex(@"ENTRYPOINT \[""/app/([a-z-]+)""\]")]
    private static partial Regex Started();
}
