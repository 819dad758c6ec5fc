# Sets up Microsoft's C++ compiler for all later steps of a job: finds the newest Visual Studio that
# has it and exports what its developer prompt for x64 changes. For GitHub's runners on Windows.
$ErrorActionPreference = 'Stop'

$installer = Join-Path ${env:ProgramFiles(x86)} 'Microsoft Visual Studio\Installer'
$vswhere = Join-Path $installer 'vswhere.exe'
if (-not (Test-Path $vswhere)) { throw "no Visual Studio is installed: $vswhere is not there" }
$tools = 'Microsoft.VisualStudio.Component.VC.Tools.x86.x64'
$studio = & $vswhere -latest -products '*' -requires $tools -property installationPath
if (-not $studio) { throw "no Visual Studio has the C++ compiler for x64 ($tools)" }

$prompt = Join-Path $studio 'VC\Auxiliary\Build\vcvars64.bat'
$variables = & $env:ComSpec /d /s /c "`"$prompt`" > nul && set"
if ($LASTEXITCODE -ne 0) { throw "$prompt failed with status $LASTEXITCODE" }

foreach ($line in $variables) {
    $name, $value = $line -split '=', 2
    if (-not $name -or $name -eq 'PROMPT') { continue }
    if ([Environment]::GetEnvironmentVariable($name) -cne $value) {
        [Environment]::SetEnvironmentVariable($name, $value)
        "$name=$value" | Out-File -FilePath $env:GITHUB_ENV -Append -Encoding utf8
    }
}

$compiler = Get-Command cl.exe -CommandType Application | Select-Object -First 1
"$studio`n$($compiler.Source)"
